"""Which weights are zero: patterns, survival levels, what decides on them and when, and how they are indexed."""

from allinone.sparsity.criteria import Adam, Criterion, Magnitude, Taylor, mean_magnitudes
from allinone.sparsity.index import index_bytes, index_encoding
from allinone.sparsity.kept import Kept
from allinone.sparsity.masking import StraightThrough, masked
from allinone.sparsity.packing import pack_index, unpack_index
from allinone.sparsity.patterns import LEVELS, Blocks, NOfM, Pattern, Unstructured, kept_count, misfit
from allinone.sparsity.schedule import EveryK, FewShot, OneShot, Schedule
from allinone.sparsity.survival import survival_levels

__all__ = [
    "LEVELS",
    "Adam",
    "Blocks",
    "Criterion",
    "EveryK",
    "FewShot",
    "Kept",
    "Magnitude",
    "NOfM",
    "OneShot",
    "Pattern",
    "Schedule",
    "StraightThrough",
    "Taylor",
    "Unstructured",
    "index_bytes",
    "index_encoding",
    "kept_count",
    "masked",
    "mean_magnitudes",
    "misfit",
    "pack_index",
    "survival_levels",
    "unpack_index",
]
