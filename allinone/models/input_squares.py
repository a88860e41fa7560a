"""How large the inputs of each linear map are when a network hears speech: what an error of a weight costs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def input_squares(network: nn.Module, listen: Callable[[], object]) -> dict[str, Tensor]:
    """The mean square of each input of every linear map, over all frames that the network hears.

    It is the diagonal of the Hessian of the squared error of a map's output, up to a factor of two (Optimal Brain
    Surgeon for layers, as GPTQ has it, Frantar et al. 2023, section 2).

    Args:
        network: a plain one, in evaluation mode.
        listen: lets it hear speech; without padding, which would count, too.

    Returns:
        ``(inputs,)`` by the names of weights; a map that was not used has none.
    """
    sums: dict[str, Tensor] = {}
    frames: dict[str, int] = {}

    def observe(name: str, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0].reshape(-1, inputs[0].shape[-1]).float()
        sums[name] = sums.get(name, 0) + x.square().sum(0)
        frames[name] = frames.get(name, 0) + len(x)

    hooks = [
        module.register_forward_pre_hook(partial(observe, f"{name}.weight"))
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        listen()
    finally:
        for hook in hooks:
            hook.remove()
    return {name: total / frames[name] for name, total in sums.items()}
