"""Losses: one number for each utterance."""

from allinone.losses.attention import attention_losses
from allinone.losses.ctc import ctc_losses
from allinone.losses.distillation import kl_divergences, valid_means

__all__ = ["attention_losses", "ctc_losses", "kl_divergences", "valid_means"]
