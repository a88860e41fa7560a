"""Dynamic scales from the mean magnitude: the constants, and what does not move them."""

from math import erf, exp, inf, pi, sqrt

import pytest
import torch

from allinone.quantization import AbsMax, AbsMean, PerChannel, PerGroup, PerTensor, integer_range, quantise
from allinone.quantization.absmean import absmean_scale

GRANULARITIES = [PerTensor(), PerChannel(), PerGroup(2)]


def expected_error(step: float, bits: int) -> float:
    """E (w - step * integer(w))^2 of a standard Gaussian w, an integral over the weights of each integer."""
    low, high = integer_range(bits)
    total = 0.0
    for integer in range(low, high + 1):
        start = -inf if integer == low else (integer - 0.5) * step
        end = inf if integer == high else (integer + 0.5) * step
        mass = (erf(end / sqrt(2)) - erf(start / sqrt(2))) / 2
        density, at_end = (0.0 if abs(x) == inf else exp(-x * x / 2) / sqrt(2 * pi) for x in (start, end))
        edges = (0.0 if abs(end) == inf else end * at_end) - (0.0 if abs(start) == inf else start * density)
        total += (1 + (integer * step) ** 2) * mass - edges + 2 * integer * step * (at_end - density)
    return total


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_constants_have_the_least_error_of_gaussian_weights(bits):
    """The mean of |w| is sqrt(2 / pi) standard deviations; any other step, on either side, has more error."""
    unit = torch.ones(1, 1)
    step = float(absmean_scale(unit, bits, PerTensor())) * sqrt(2 / pi)
    least = expected_error(step, bits)
    others = {factor: expected_error(step * factor, bits) for factor in (0.5, 0.9, 0.99, 0.998, 1.002, 1.01, 1.1, 2)}
    assert all(error > least for error in others.values())


@pytest.mark.parametrize("bits", [2, 4])
def test_so_they_have_of_drawn_ones_and_less_than_absmax(bits):
    weight = torch.randn(1, 100_000, generator=torch.Generator().manual_seed(bits))
    error = (AbsMean().quantise(weight, None, bits).dequantise() - weight).square().mean()
    assert error == pytest.approx(expected_error(float(absmean_scale(weight, bits, PerTensor())), bits), rel=0.02)
    assert error < 0.5 * (AbsMax().quantise(weight, None, bits).dequantise() - weight).square().mean()


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
@pytest.mark.parametrize("shape", [(6, 10), (4, 1, 3, 3)])
def test_fake_quantise_is_what_is_stored_and_passes_gradients_inside_the_range(bits, granularity, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    quantizer = AbsMean(granularity)
    fake, stored = quantizer.fake_quantise(weight, None, bits), quantizer.quantise(weight.detach(), None, bits)
    assert torch.equal(fake, stored.dequantise())
    assert stored.scale.shape == granularity.scale_shape(shape)
    fake.sum().backward()
    low, high = integer_range(bits)
    assert weight.grad is not None
    clamped = weight.grad == 0
    assert set(stored.integers[clamped].tolist()) <= {low, high}
    assert weight.grad[~clamped].eq(1).all()


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
def test_zeros_do_not_move_the_scale(granularity):
    """Half of each pair is pruned: the scale is that of the other half alone."""
    kept = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    pruned = torch.stack([kept, torch.zeros_like(kept)], 2).flatten(1)  # (6, 10)
    alone = absmean_scale(kept, 4, PerGroup(1) if isinstance(granularity, PerGroup) else granularity)
    torch.testing.assert_close(absmean_scale(pruned, 4, granularity), alone)
    assert not AbsMean(granularity).quantise(pruned, None, 4).integers[:, 1::2].any()


def test_rows_of_zeros_stay_zeros():
    stored = AbsMean().quantise(torch.zeros(3, 4), None, 2)
    assert stored.dequantise().eq(0).all()
    assert AbsMean().initial_log_scales(torch.zeros(3, 4), (2,)) is AbsMean().log_scale_shape((3, 4)) is None


def test_a_group_is_the_channel_of_a_weight_of_as_many_rows():
    weight = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    groups = absmean_scale(weight, 2, PerGroup(5))
    assert torch.equal(groups.view(-1, 1), absmean_scale(weight.view(12, 5), 2, PerChannel()))
    assert torch.equal(AbsMean(PerGroup(5)).quantise(weight, None, 2).scale, quantise(weight, groups, 2).scale)
