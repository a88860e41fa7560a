"""Which weights are zero: patterns, survival levels, what decides on them and when, and how they are indexed."""

from allinone.sparsity.index import index_bytes, index_encoding
from allinone.sparsity.patterns import LEVELS, Blocks, NOfM, Pattern, Unstructured, kept_count, misfit
from allinone.sparsity.survival import survival_levels

__all__ = [
    "LEVELS",
    "Blocks",
    "NOfM",
    "Pattern",
    "Unstructured",
    "index_bytes",
    "index_encoding",
    "kept_count",
    "misfit",
    "survival_levels",
]
