"""The loss of an attention decoder."""

import torch
from torch import Tensor
from torch.nn import functional


def attention_losses(log_probs: Tensor, labels: Tensor, label_lengths: Tensor, smoothing: float) -> Tensor:
    """The cross-entropy of each utterance, averaged over its labels and its end.

    Args:
        log_probs: of each label after those before it, ``(batch, labels + 1, vocab)``; label 0 is the end.
        labels: ``(batch, labels)``, 0 at padding.
        label_lengths: valid labels, ``(batch,)``.
        smoothing: probability that is spread evenly over all labels (label smoothing, Szegedy et al. 2016).

    Returns:
        ``(batch,)``.
    """
    targets = functional.pad(labels, (0, 1))
    said = log_probs.gather(2, targets[..., None])[..., 0]
    losses = -(1 - smoothing) * said
    if smoothing:
        losses = losses - smoothing * log_probs.mean(-1)
    places = torch.arange(targets.shape[1], device=targets.device)
    return losses.masked_fill(places > label_lengths[:, None], 0).sum(1) / (label_lengths + 1)
