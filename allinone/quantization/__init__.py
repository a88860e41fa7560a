"""Few bits per weight: quantisers, the integers they make, and how these are packed."""

from allinone.quantization.absmax import AbsMax
from allinone.quantization.activations import (
    INPUT_BITS,
    Activations,
    DynamicActivations,
    StaticActivations,
    round_inputs,
)
from allinone.quantization.affine import Quantised, fake_quantise, integer_range, quantise
from allinone.quantization.granularity import Granularity, PerChannel, PerGroup, PerTensor, narrow
from allinone.quantization.learned import Lsq
from allinone.quantization.quantizer import Quantizer

__all__ = [
    "INPUT_BITS",
    "AbsMax",
    "Activations",
    "DynamicActivations",
    "Granularity",
    "Lsq",
    "PerChannel",
    "PerGroup",
    "PerTensor",
    "Quantised",
    "Quantizer",
    "StaticActivations",
    "fake_quantise",
    "integer_range",
    "narrow",
    "quantise",
    "round_inputs",
]
