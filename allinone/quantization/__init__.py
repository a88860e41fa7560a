"""Few bits per weight: quantisers, the integers they make, and how these are packed."""

from allinone.quantization.absmax import AbsMax
from allinone.quantization.absmean import AbsMean
from allinone.quantization.activations import (
    INPUT_BITS,
    Activations,
    DynamicActivations,
    StaticActivations,
    round_inputs,
)
from allinone.quantization.affine import Quantised, as_float, fake_quantise, integer_range, quantise
from allinone.quantization.granularity import Granularity, PerChannel, PerGroup, PerTensor, narrow
from allinone.quantization.learned import Lsq, least_squares_scale
from allinone.quantization.nested import NESTED_BITS, Nested, coarser
from allinone.quantization.quantizer import Quantizer, grouped

__all__ = [
    "INPUT_BITS",
    "NESTED_BITS",
    "AbsMax",
    "AbsMean",
    "Activations",
    "DynamicActivations",
    "Granularity",
    "Lsq",
    "Nested",
    "PerChannel",
    "PerGroup",
    "PerTensor",
    "Quantised",
    "Quantizer",
    "StaticActivations",
    "as_float",
    "coarser",
    "fake_quantise",
    "grouped",
    "integer_range",
    "least_squares_scale",
    "narrow",
    "quantise",
    "round_inputs",
]
