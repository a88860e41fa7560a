"""Linear maps whose inputs may have eight bits: where a scale is among their values, inputs are rounded by it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from allinone.quantization import Activations, round_inputs

INPUT_SCALE = ".rounding.scale"  # how the name of a scale of inputs ends


class InputRounding(nn.Module):
    """Rounds what a linear map is given, if it has a scale.

    The scale is a value like a weight: a plain network has its own, and of a supernet's members each hands in its own
    or none (:class:`allinone.layers.elastic.Elastic`).

    Attributes:
        scale: as :func:`allinone.quantization.round_inputs` takes it; None, as it is at first, rounds nothing.
    """

    scale: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", None)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., dim)`` to the same."""
        return x if self.scale is None else round_inputs(x, self.scale)


class Linear(nn.Linear):
    """A linear map with rounded inputs, or without: ``(..., inputs)`` to ``(..., outputs)``."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        self.rounding = InputRounding()

    def forward(self, input: Tensor) -> Tensor:
        """``(..., inputs)`` to ``(..., outputs)``."""
        return functional.linear(self.rounding(input), self.weight, self.bias)


def round_all_inputs(module: nn.Module, activations: Activations) -> None:
    """Gives all linear maps of a plain module a scale, whose value is yet to be loaded."""
    for part in module.modules():
        if isinstance(part, InputRounding):
            part.scale = torch.zeros(activations.scale_shape)


def roundings(module: nn.Module) -> tuple[str, ...]:
    """The names of all places in a module where inputs can be rounded."""
    return tuple(name for name, part in module.named_modules() if isinstance(part, InputRounding))
