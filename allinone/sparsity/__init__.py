"""Which weights are zero: patterns, survival levels, what decides on them and when."""

from allinone.sparsity.patterns import LEVELS, Blocks, NOfM, Pattern, Unstructured, kept_count, misfit
from allinone.sparsity.survival import survival_levels

__all__ = ["LEVELS", "Blocks", "NOfM", "Pattern", "Unstructured", "kept_count", "misfit", "survival_levels"]
