"""The optimiser: AdamW, with learned scales in a group of their own."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class AdamW:
    """Settings of AdamW (Loshchilov & Hutter 2019), in PyTorch's fused form.

    Args:
        lr: peak learning rate.
        scale_lr: peak learning rate of the logarithms of quantisation scales, which have no weight decay.
        betas: decay rates of the moments.
        weight_decay: of matrices; biases and norms have none.
        eps: added to the denominator.
    """

    lr: float
    scale_lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    eps: float = 1e-8

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))

    def build(self, model: nn.Module) -> torch.optim.AdamW:
        """The optimiser of a model: a step leaves rows of scales that no member used as they are."""
        scales = [weight for name, weight in model.named_parameters() if "log_scales" in name]
        taken = set(map(id, scales))
        others = [weight for weight in model.parameters() if id(weight) not in taken]
        optimizer = torch.optim.AdamW(
            [
                {"params": [weight for weight in others if weight.dim() > 1], "weight_decay": self.weight_decay},
                {"params": [weight for weight in others if weight.dim() == 1], "weight_decay": 0.0},
                {"params": scales, "weight_decay": 0.0, "lr": self.scale_lr},
            ],
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            fused=True,
        )
        keep_unused_rows(optimizer, scales)
        return optimizer


def keep_unused_rows(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
    """Makes every step leave those rows of the parameters, and their moments, alone whose gradient is zero throughout.

    Otherwise a precision that no member of the step has would drift on with the momentum of earlier steps.
    """
    kept: list[tuple[Tensor, Tensor, Tensor]] = []

    def tensors(parameter: nn.Parameter) -> list[Tensor]:
        state = optimizer.state.get(parameter, {})
        return [parameter, *(state[key] for key in ("exp_avg", "exp_avg_sq") if key in state)]

    @torch.no_grad()
    def before(*_: Any) -> None:
        kept.clear()
        for parameter in parameters:
            if parameter.grad is None:
                continue
            unused = (parameter.grad.flatten(1) == 0).all(1)
            kept.extend((tensor, unused, tensor[unused].clone()) for tensor in tensors(parameter))

    @torch.no_grad()
    def after(*_: Any) -> None:
        for tensor, unused, values in kept:
            tensor[unused] = values
        kept.clear()

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)
