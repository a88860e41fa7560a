"""Divergences: how far each of a member's distributions is from its teacher's."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Divergence(Protocol):
    """A distance of distributions; no gradient flows into the teacher."""

    def __call__(self, log_probs: Tensor, teacher_log_probs: Tensor) -> Tensor:
        """``(batch, positions, vocab)`` of a member and the same of its teacher to ``(batch, positions)``."""
        ...


@dataclass(frozen=True)
class Kl:
    """KL(teacher || member) (All-in-one, Eq. 4)."""

    def __call__(self, log_probs: Tensor, teacher_log_probs: Tensor) -> Tensor:
        """Shapes as in :class:`Divergence`."""
        return functional.kl_div(log_probs, teacher_log_probs.detach(), reduction="none", log_target=True).sum(-1)


@dataclass(frozen=True)
class AlphaDivergence:
    """The larger of two alpha-divergences, chosen for each distribution (AlphaNet, Wang et al. 2021).

    Of a teacher p and a member q, with the importance weights w = (p / q)^alpha:

        D = (E_q[w] - 1) / (alpha * (alpha - 1)),    grad D = -1 / alpha * E_q[w * grad log q].

    A negative alpha punishes a member for what it says and the teacher excludes, a positive one for what the teacher
    says and the member leaves out; alpha = 1 is KL(teacher || member). The weights of a negative alpha have no bound
    and are clipped, in the value and in the gradient. Those of an alpha from 0 to 1 are not: q * w is at most 1.

    Args:
        alpha_minus: below 0.
        alpha_plus: above 0 and up to 1.
        clip: largest weight of ``alpha_minus``; at least 1 - alpha_minus, below which there are distributions that
            differ from the teacher's and whose divergence is not positive.
    """

    alpha_minus: float = -1.0
    alpha_plus: float = 1.0
    clip: float = 5.0

    def __post_init__(self) -> None:
        if not (self.alpha_minus < 0 < self.alpha_plus <= 1 and self.clip >= 1 - self.alpha_minus):
            raise ValueError(
                "An alpha-divergence requires alpha_minus below 0, alpha_plus above 0 and up to 1, and a clip of at "
                f"least 1 - alpha_minus; found {self.alpha_minus}, {self.alpha_plus} and {self.clip}. Correct them."
            )

    def __call__(self, log_probs: Tensor, teacher_log_probs: Tensor) -> Tensor:
        """Shapes as in :class:`Divergence`."""
        minus = _alpha_divergences(log_probs, teacher_log_probs, self.alpha_minus, self.clip)
        plus = _alpha_divergences(log_probs, teacher_log_probs, self.alpha_plus, math.inf)
        return torch.maximum(minus, plus)


def _alpha_divergences(log_probs: Tensor, teacher_log_probs: Tensor, alpha: float, clip: float) -> Tensor:
    if alpha == 1:  # the limit, where the equation divides by zero
        return Kl()(log_probs, teacher_log_probs)
    with torch.no_grad():  # in logarithms: probabilities of sure networks are too small to divide by
        log_weights = (alpha * (teacher_log_probs - log_probs)).clamp(max=math.log(clip))
        weighted = (log_probs + log_weights).exp()
        values = (weighted - log_probs.exp()).sum(-1) / (alpha * (alpha - 1))
    gradients = -(weighted * log_probs).sum(-1) / alpha
    return gradients + (values - gradients).detach()
