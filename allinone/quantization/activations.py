"""Eight bits for what flows, too: the inputs of linear maps, each frame by its own range or all by a fixed one."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from allinone.quantization.affine import fake_quantise, integer_range

INPUT_BITS = 8
_LARGEST = integer_range(INPUT_BITS)[1]
_SMALLEST_SCALE = 1e-8  # of a frame of zeros, which any scale represents
_CACHED = 2**17  # inputs at a time: as many as a processor keeps at hand


class Activations(Protocol):
    """How the inputs of linear maps are rounded: the shape of the scale that each map is given says it.

    Convolutions, attention's products of what flows with what flows, norms and biases stay in floating point, as they
    do in the runtimes that are named below.

    Attributes:
        scale_shape: of what each map stores for its inputs: ``()`` is a scale, ``(0,)`` none.
    """

    scale_shape: ClassVar[tuple[int, ...]]


@dataclass(frozen=True)
class DynamicActivations:
    """Each frame has a scale of its own, its largest magnitude / 127, and no zero point; nothing is stored.

    No frame, and so no padding, moves another frame's scale. That is the vector-wise rounding of LLM.int8() (Dettmers
    et al. 2022, section 2). Runtimes that come close: ONNX Runtime's ``MatMulNBits`` with ``accuracy_level=4`` has such
    scales for each block of a frame; torchao's ``Int8DynamicActivationInt8WeightConfig`` divides by 127.5.
    ``torch.ao.quantization.quantize_dynamic`` and ONNX Runtime's ``DynamicQuantizeLinear`` differ: they have one range,
    with a zero point, for a whole batch, padding included, so that what is heard depends on the batch.

    Runtimes add up integers, which is exact; here products in float32 are added up, which differs by the rounding of
    that sum. Some multiply by the inverse of the scale, where we divide: an input half-way between two integers may
    fall to the other one.
    """

    scale_shape: ClassVar[tuple[int, ...]] = (0,)


@dataclass(frozen=True)
class StaticActivations:
    """Each linear map has one scale for all its inputs, whatever the bits of its weights, and no zero point.

    Scales begin where the largest input that was heard is 127, and are learned from then on with those of the weights
    (LSQ, Esser et al. 2020), as logarithms: a parameter is resumed, averaged over ranks and over time as any other,
    where a running maximum would be none of these. What lies outside the range is clamped to -128 and 127.

    That is what ONNX Runtime computes for a network quantised statically (``quantize_static`` with
    ``ActivationSymmetric`` and ``QInt8``: ``QuantizeLinear`` rounds half to even and saturates), and what
    ``torch.fake_quantize_per_tensor_affine`` computes with the zero point 0. The sums differ as they do for
    :class:`DynamicActivations`.
    """

    scale_shape: ClassVar[tuple[int, ...]] = ()


def round_inputs(x: Tensor, scale: Tensor) -> Tensor:
    """Inputs as integers of 8 bits times a scale, in floating point and differentiable (straight-through).

    The gradient of a scale is divided by sqrt(dim * 127), as LSQ (section 2.2) has it for activations: the size of the
    batch does not enter, so that ranks may have batches of different sizes.

    Args:
        x: ``(..., dim)``, of any floating dtype; rounded in float32.
        scale: ``()``, or ``(0,)`` if each of the ``dim`` entries together have their own, see :class:`Activations`.

    Returns:
        Shape and dtype of ``x``.
    """
    rows = x.float().flatten(0, -2)
    if scale.numel():
        rounded = fake_quantise(rows, scale.view(1, 1), INPUT_BITS, shared=x.shape[-1])
    else:
        rounded = _RoundFrames.apply(rows)
    return rounded.reshape(x.shape).to(x.dtype)  # pyright: ignore[reportOptionalMemberAccess]


def _frame_scales(rows: Tensor) -> Tensor:
    return (rows.abs().amax(-1, keepdim=True) / _LARGEST).clamp_(min=_SMALLEST_SCALE)


class _RoundFrames(torch.autograd.Function):
    """Nothing is clamped, so that the gradient passes as it is, and nothing is kept for it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        if torch.compiler.is_compiling():  # which joins all this by itself
            scale = _frame_scales(rows)
            return (rows / scale).round_().mul_(scale)
        some, rounded = max(1, _CACHED // max(1, rows.shape[1])), torch.empty_like(rows)
        for piece, out in zip(rows.split(some), rounded.split(some), strict=True):
            scale = _frame_scales(piece)
            torch.div(piece, scale, out=out).round_().mul_(scale)
        return rounded

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]
