"""Connectionist temporal classification."""

from torch import Tensor
from torch.nn import functional


def ctc_losses(log_probs: Tensor, lengths: Tensor, labels: Tensor, label_lengths: Tensor) -> Tensor:
    """The CTC loss (Graves et al. 2006) of each utterance, per label.

    Args:
        log_probs: ``(batch, time, vocab)``, blank first.
        lengths: valid frames, ``(batch,)``.
        labels: ``(batch, labels)``.
        label_lengths: valid labels, ``(batch,)``.

    Returns:
        ``(batch,)``; 0 for an utterance with too few frames for its labels.
    """
    losses = functional.ctc_loss(
        log_probs.transpose(0, 1), labels, lengths, label_lengths, reduction="none", zero_infinity=True
    )
    return losses / label_lengths.clamp(min=1)
