"""Distillation: how far a member's frames are from its teacher's, and means over what is valid."""

from torch import Tensor


def squared_distances(frames: Tensor, teacher_frames: Tensor) -> Tensor:
    """The mean over dimensions of the squared difference of each frame, in float32.

    Args:
        frames: of the member, ``(batch, time, dim)``.
        teacher_frames: of the largest member, the same shape; no gradient flows into them.

    Returns:
        ``(batch, time)``.
    """
    return (frames.float() - teacher_frames.detach().float()).square().mean(-1)


def valid_means(values: Tensor, lengths: Tensor, padding: Tensor) -> Tensor:
    """The mean of each utterance over its valid positions, ``(batch,)``.

    Args:
        values: ``(batch, positions)``.
        lengths: valid positions, ``(batch,)``.
        padding: ``(batch, positions)``, True at padding.
    """
    return values.masked_fill(padding, 0).sum(1) / lengths.clamp(min=1)
