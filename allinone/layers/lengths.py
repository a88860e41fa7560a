"""Padding masks: the only place where lengths become masks."""

import torch
from torch import Tensor


def padding_mask(lengths: Tensor, time: int) -> Tensor:
    """Which positions of a padded batch are padding.

    Args:
        lengths: valid positions of each utterance, ``(batch,)``.
        time: positions of the padded batch.

    Returns:
        ``(batch, time)``, True at padding.
    """
    return torch.arange(time, device=lengths.device) >= lengths[:, None]
