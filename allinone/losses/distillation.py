"""Distillation: how far a member's outputs are from its teacher's."""

from torch import Tensor
from torch.nn import functional


def kl_divergences(log_probs: Tensor, teacher_log_probs: Tensor, lengths: Tensor, padding: Tensor) -> Tensor:
    """KL(teacher || member) of each utterance, averaged over its frames (All-in-one, Eq. 4).

    Args:
        log_probs: of the member, ``(batch, time, vocab)``.
        teacher_log_probs: of the largest member, the same shape; no gradient flows into them.
        lengths: valid frames, ``(batch,)``.
        padding: ``(batch, time)``, True at padding.

    Returns:
        ``(batch,)``.
    """
    divergences = functional.kl_div(log_probs, teacher_log_probs.detach(), reduction="none", log_target=True).sum(-1)
    return divergences.masked_fill(padding, 0).sum(1) / lengths.clamp(min=1)
