"""Inputs of eight bits: as other libraries round them, frame by frame or by one scale, and their gradients."""

import pytest
import torch
from torch import Tensor

from allinone.quantization import DynamicActivations, StaticActivations, round_inputs

EACH = torch.empty(DynamicActivations().scale_shape)  # no scale: each frame has its own


def inputs(*shape: int) -> Tensor:
    """Frames of very different sizes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*shape, generator=generator)
    return x * torch.logspace(-3, 2, shape[-2])[:, None]


def test_a_static_scale_rounds_as_torch_does():
    x, scale = inputs(3, 40, 32), torch.tensor(0.125)  # whose inverse is exact
    assert scale.shape == StaticActivations().scale_shape
    rounded = round_inputs(x, scale)
    assert torch.equal(rounded, torch.fake_quantize_per_tensor_affine(x, 0.125, 0, -128, 127))
    assert rounded.min() == -16
    assert rounded.max() == 127 / 8


def test_each_frame_rounds_as_if_torch_were_told_its_range():
    x = inputs(3, 40, 32)
    rows = x.flatten(0, 1)
    scales = rows.abs().amax(-1) / 127
    expected = torch.fake_quantize_per_channel_affine(rows, scales, torch.zeros(len(rows)), 0, -127, 127)
    torch.testing.assert_close(round_inputs(x, EACH).flatten(0, 1), expected)


@pytest.mark.parametrize("shape", [(5, 8), (2, 5, 8), (2, 3, 5, 8), (1, 20_000, 16)])
def test_a_frame_has_at_most_255_values_its_largest_is_exact_and_no_other_frame_matters(shape):
    x = inputs(*shape)
    rounded = round_inputs(x, EACH)
    assert rounded.shape == x.shape
    assert ((rounded - x).abs() <= x.abs().amax(-1, keepdim=True) / 254 * 1.001).all()
    torch.testing.assert_close(rounded.abs().amax(-1), x.abs().amax(-1))
    other = x.clone()
    other[..., -1, :] = 1e6
    assert torch.equal(round_inputs(other, EACH)[..., :-1, :], rounded[..., :-1, :])
    assert not torch.equal(rounded, x)


def test_a_frame_of_zeros_stays_one():
    assert torch.equal(round_inputs(torch.zeros(2, 3, 4), EACH), torch.zeros(2, 3, 4))


@pytest.mark.parametrize("scale", [EACH, torch.tensor(0.05)], ids=["dynamic", "static"])
def test_half_precision_is_rounded_as_full_precision(scale):
    x = inputs(4, 6, 8).bfloat16()
    rounded = round_inputs(x, scale)
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded, round_inputs(x.float(), scale).bfloat16())


def test_the_gradient_of_a_frame_passes_through_and_nothing_is_kept_for_it():
    x, kept = inputs(2, 5, 8).requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        rounded = round_inputs(x, EACH)
    weights = torch.randn(x.shape)
    (gradient,) = torch.autograd.grad((rounded * weights).sum(), x)
    assert torch.equal(gradient, weights)
    assert not kept


def test_gradients_of_a_static_scale_are_those_of_lsq_and_add_up_over_parts_of_a_batch():
    """LSQ, Eq. 3 and section 2.2: integer - ratio where nothing is clamped, the end where it is, / sqrt(dim * 127)."""
    x, scale = inputs(3, 40, 32), torch.tensor(0.1, requires_grad=True)
    weights = torch.randn(x.shape)

    def gradients(rows: slice) -> tuple[Tensor, Tensor]:
        part = x[rows].clone().requires_grad_()
        to_x, to_scale = torch.autograd.grad((round_inputs(part, scale) * weights[rows]).sum(), (part, scale))
        return to_x, to_scale

    ratio = x / scale.detach()
    inside = (ratio >= -128) & (ratio <= 127)
    assert 0.05 < (~inside).float().mean() < 0.5
    slope = ratio.round().clamp(-128, 127) - ratio * inside
    to_x, to_scale = gradients(slice(None))
    assert torch.equal(to_x, weights * inside)
    torch.testing.assert_close(to_scale, (slope * weights).sum() / (32 * 127) ** 0.5)
    torch.testing.assert_close(gradients(slice(0, 1))[1] + gradients(slice(1, 3))[1], to_scale)
