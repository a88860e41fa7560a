"""Losses: one number for each utterance."""

from allinone.losses.ctc import ctc_losses
from allinone.losses.distillation import kl_divergences

__all__ = ["ctc_losses", "kl_divergences"]
