"""Sub-networks as values: what they are, which ones a supernet contains, how they are drawn, what they cost."""

from allinone.subnet.config import BIT_WIDTHS, FULL_PRECISION, LayerConfig, SubnetConfig
from allinone.subnet.cost import Cost, TensorSpec, total
from allinone.subnet.growth import CubicGrowth
from allinone.subnet.sampler import FixedSampler, GridSampler, Sampler, SandwichSampler
from allinone.subnet.space import SearchSpace
from allinone.subnet.warm_up import WarmUp
from allinone.subnet.zeros import Pattern

__all__ = [
    "BIT_WIDTHS",
    "FULL_PRECISION",
    "Cost",
    "CubicGrowth",
    "FixedSampler",
    "GridSampler",
    "LayerConfig",
    "Pattern",
    "Sampler",
    "SandwichSampler",
    "SearchSpace",
    "SubnetConfig",
    "TensorSpec",
    "WarmUp",
    "total",
]
