"""Losses: one number for each utterance."""

from allinone.losses.attention import attention_losses
from allinone.losses.ctc import ctc_losses
from allinone.losses.distillation import squared_distances, valid_means
from allinone.losses.divergence import AlphaDivergence, Divergence, Kl

__all__ = [
    "AlphaDivergence",
    "Divergence",
    "Kl",
    "attention_losses",
    "ctc_losses",
    "squared_distances",
    "valid_means",
]
