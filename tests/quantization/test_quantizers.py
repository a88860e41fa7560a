"""Quantisers: integers and scales, their gradients, and how the scales begin."""

import pytest
import torch
from torch import Tensor

from allinone.quantization import AbsMax, Lsq, PerChannel, PerTensor, fake_quantise, integer_range, narrow, quantise

BITS = (2, 3, 4, 6, 8)
GRANULARITIES = [PerTensor(), PerChannel()]


def example(shape=(6, 10), granularity=PerChannel(), bits=4, seed=0) -> tuple[Tensor, Tensor]:  # noqa: B008
    """A weight of which some is clamped, and scales."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator)
    scale = 0.7 * AbsMax(granularity).quantise(weight, None, bits).scale
    return weight, scale


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
@pytest.mark.parametrize("shape", [(6, 10), (4, 3, 5), (4, 1, 3, 3)])
def test_fake_quantise_is_what_is_stored_bit_for_bit(bits, granularity, shape):
    weight, scale = example(shape, granularity, bits)
    stored = quantise(weight, scale, bits)
    assert torch.equal(fake_quantise(weight, scale, bits), stored.dequantise())
    assert stored.integers.dtype == torch.int8
    low, high = integer_range(bits)
    assert stored.integers.min() >= low
    assert stored.integers.max() == high
    inside = (weight >= low * scale) & (weight <= high * scale)
    assert not inside.all()
    assert ((stored.dequantise() - weight).abs() <= scale / 2 + 1e-6)[inside].all()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
@pytest.mark.parametrize("shape", [(6, 10), (4, 1, 3, 3)])
def test_gradients_are_those_of_detached_rounding(bits, granularity, shape):
    """LSQ, Eq. 3 and 5, with the gradient of the scale divided by sqrt(weights per scale * largest integer)."""
    weight, scale = example(shape, granularity, bits)
    low, high = integer_range(bits)
    outer = torch.randn(shape, generator=torch.Generator().manual_seed(1))

    def gradients(function):
        leaves = weight.clone().requires_grad_(), scale.clone().requires_grad_()
        return torch.autograd.grad((function(*leaves) * outer).sum(), leaves)

    def naive(weight: Tensor, scale: Tensor) -> Tensor:
        ratio = (weight / scale).clamp(low, high)
        return (ratio + (ratio.round() - ratio).detach()) * scale

    to_weight, to_scale = gradients(lambda weight, scale: fake_quantise(weight, scale, bits))
    naive_to_weight, naive_to_scale = gradients(naive)
    torch.testing.assert_close(to_weight, naive_to_weight, rtol=1e-5, atol=1e-6)
    divisor = (weight.numel() / scale.numel() * high) ** 0.5
    torch.testing.assert_close(to_scale * divisor, naive_to_scale, rtol=1e-4, atol=1e-4)
    assert (to_weight == 0).any()  # clamped ones


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
def test_learned_scales_begin_with_no_more_error_than_absmax(bits, granularity):
    weight, _ = example((16, 64))
    lsq, absmax = Lsq(granularity), AbsMax(granularity)
    (log_scale,) = lsq.initial_log_scales(weight, (bits,))
    assert log_scale.shape == granularity.scale_shape(weight.shape)

    def error(quantised):
        return (quantised.dequantise() - weight).square().sum()

    fitted, unclamped = error(lsq.quantise(weight, log_scale, bits)), error(absmax.quantise(weight, None, bits))
    assert fitted <= unclamped * (1 + 1e-5)
    if bits <= 4:
        assert fitted < 0.95 * unclamped


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
@pytest.mark.parametrize("spread", [1, 3])
def test_learned_scales_begin_with_the_best_of_fifty_fractions(bits, granularity, spread):
    generator = torch.Generator().manual_seed(spread)
    weight = torch.cat((torch.randn(12, 96, generator=generator) ** spread, torch.rand(4, 96, generator=generator)))
    scale = AbsMax(granularity).quantise(weight, None, bits).scale
    candidates = torch.linspace(0.1, 1.0, 50).tolist()
    errors = torch.stack(
        [(fake_quantise(weight, scale * part, bits) - weight).square().sum_to_size(*scale.shape) for part in candidates]
    )
    best = scale * torch.tensor(candidates)[errors.argmin(0)]
    torch.testing.assert_close(Lsq(granularity).initial_log_scales(weight, (bits,))[0].exp(), best)


def test_learned_scales_have_a_row_for_each_precision_and_learn():
    weight, _ = example()
    rows = Lsq().initial_log_scales(weight, BITS)
    assert rows.shape == (len(BITS), *Lsq().log_scale_shape(weight.shape)) == (len(BITS), 6, 1)
    assert (rows.diff(dim=0) < 0).all()  # more bits, finer steps
    log_scale = rows[2].clone().requires_grad_()
    Lsq().fake_quantise(weight, log_scale, 4).square().sum().backward()
    assert log_scale.grad is not None
    assert log_scale.grad.all()


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
def test_absmax_clamps_no_weight_and_learns_nothing(granularity):
    weight, _ = example()
    quantised = AbsMax(granularity).quantise(weight, None, 4)
    largest = weight.abs().amax() if granularity == PerTensor() else weight.abs().amax(1, keepdim=True)
    torch.testing.assert_close(quantised.scale, (largest / 7).expand(quantised.scale.shape))
    assert int(quantised.integers.abs().max()) == 7
    assert AbsMax(granularity).initial_log_scales(weight, BITS) is None
    assert AbsMax(granularity).log_scale_shape(weight.shape) is None
    leaf = weight.clone().requires_grad_()
    AbsMax(granularity).fake_quantise(leaf, None, 4).sum().backward()
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, torch.ones_like(leaf))


@pytest.mark.parametrize("quantizer", [Lsq(), AbsMax()], ids=str)
def test_zeros_stay_zeros(quantizer):
    weight = torch.zeros(3, 4)
    rows = quantizer.initial_log_scales(weight, (4,))
    quantised = quantizer.quantise(weight, None if rows is None else rows[0], 4)
    assert quantised.dequantise().isfinite().all()
    assert not quantised.integers.any()


def test_a_prefix_of_a_weight_keeps_its_scales():
    scales = torch.arange(6.0).view(6, 1)
    assert torch.equal(narrow(scales, (4, 1)), scales[:4])
    assert narrow(torch.ones(1, 1), (1, 1)).shape == (1, 1)
