"""The optimiser: AdamW, with learned scales in a group of their own."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from allinone.training.sharding import ShardedAdamW


@dataclass(frozen=True)
class AdamW:
    """Settings of AdamW (Loshchilov & Hutter 2019), in PyTorch's fused form.

    Args:
        lr: peak learning rate.
        scale_lr: peak learning rate of the logarithms of quantisation scales, which have no weight decay.
        betas: decay rates of the moments.
        weight_decay: of matrices; biases and norms have none.
        eps: added to the denominator.
        sharded: whether each of several processes keeps the moments of its share of the weights alone, and updates
            those for all (ZeRO, Rajbhandari et al. 2020, stage 1).
    """

    lr: float
    scale_lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    eps: float = 1e-8
    sharded: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of a model: a step leaves rows of scales that no member used as they are."""
        trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
        scales = [weight for name, weight in trained if "log_scales" in name]
        others = [weight for name, weight in trained if "log_scales" not in name]
        groups = [
            {"params": [weight for weight in others if weight.dim() > 1], "weight_decay": self.weight_decay},
            {"params": [weight for weight in others if weight.dim() == 1], "weight_decay": 0.0},
            {"params": scales, "weight_decay": 0.0, "lr": self.scale_lr},
        ]
        settings: dict[str, Any] = {"lr": self.lr, "betas": self.betas, "eps": self.eps, "fused": True}
        if self.sharded and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            optimizer = ShardedAdamW(groups, **settings)
            keep_unused_rows(optimizer.own, scales)
        else:
            optimizer = torch.optim.AdamW(groups, **settings)
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
