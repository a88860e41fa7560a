"""Adaptive dropout: the less of the largest network a member keeps, the less dropout its layers get."""

from collections.abc import Sequence
from dataclasses import dataclass

from allinone.subnet import LayerConfig


@dataclass(frozen=True)
class AdaptiveDropout:
    """Factors of the dropout probability: shares of the largest network, each to a power.

    Omni-sparsity (section 2.1) gives a layer of sparsity s a probability of p * (1 - s): what fits a large network lets
    a small one under-fit. This is the rule for that and for the other ways of being small:

        p * (width / largest width)^width_power * (depth / largest depth)^depth_power * (bits / largest bits)^bits_power
            * (1 - sparsity)^sparsity_power

    It is a setting of a training, like augmentation, and no part of a checkpoint.

    Args:
        width_power: of a layer's share of the width.
        depth_power: of the member's share of the layers.
        bits_power: of a layer's share of the bits.
        sparsity_power: of a layer's share of weights that are not zero.
    """

    width_power: float = 1.0
    depth_power: float = 1.0
    bits_power: float = 0.0
    sparsity_power: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width_power, self.depth_power, self.bits_power, self.sparsity_power) < 0:
            raise ValueError(
                "Adaptive dropout requires powers of 0 or more, or a smaller member would get more dropout; found "
                f"{self}. Give powers that are not negative."
            )

    def factors(self, layers: Sequence[LayerConfig], largest: Sequence[LayerConfig]) -> tuple[float, ...]:
        """One factor, above 0 and up to 1, for each layer of a member.

        Args:
            layers: of the member.
            largest: those of the largest member.
        """
        depth = len(layers) / len(largest)
        return tuple(
            (layer.width / whole.width) ** self.width_power
            * depth**self.depth_power
            * (layer.bits / whole.bits) ** self.bits_power
            * (1 - layer.sparsity) ** self.sparsity_power  # the largest has no zeros
            for layer, whole in zip(layers, largest, strict=False)  # the first of the largest
        )
