"""Distillation: how far a member's outputs are from its teacher's."""

from torch import Tensor
from torch.nn import functional


def kl_divergences(log_probs: Tensor, teacher_log_probs: Tensor) -> Tensor:
    """KL(teacher || member) of each distribution (All-in-one, Eq. 4).

    Args:
        log_probs: of the member, ``(batch, positions, vocab)``.
        teacher_log_probs: of the largest member, the same shape; no gradient flows into them.

    Returns:
        ``(batch, positions)``.
    """
    return functional.kl_div(log_probs, teacher_log_probs.detach(), reduction="none", log_target=True).sum(-1)


def valid_means(values: Tensor, lengths: Tensor, padding: Tensor) -> Tensor:
    """The mean of each utterance over its valid positions, ``(batch,)``.

    Args:
        values: ``(batch, positions)``.
        lengths: valid positions, ``(batch,)``.
        padding: ``(batch, positions)``, True at padding.
    """
    return values.masked_fill(padding, 0).sum(1) / lengths.clamp(min=1)
