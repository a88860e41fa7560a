"""Quantisers: integers and scales, their gradients, and how the scales begin."""

import pytest
import torch
from torch import Tensor

from allinone.quantization import (
    AbsMax,
    Lsq,
    PerChannel,
    PerGroup,
    PerTensor,
    Quantised,
    fake_quantise,
    integer_range,
    narrow,
    quantise,
)

BITS = (2, 3, 4, 6, 8)
GRANULARITIES = [PerTensor(), PerChannel(), PerGroup(2)]


def example(shape=(6, 10), granularity=PerChannel(), bits=4, seed=0) -> tuple[Tensor, Tensor]:  # noqa: B008
    """A weight of which some is clamped, and scales."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator)
    scale = 0.7 * AbsMax(granularity).quantise(weight, None, bits).scale
    return weight, scale


def spread(scale: Tensor, weight: Tensor) -> Tensor:
    """Scales repeated until there is one for each weight."""
    for axis, size in enumerate(weight.shape):
        scale = scale.repeat_interleave(size // scale.shape[axis], axis)
    return scale


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
    scale = spread(scale, weight)
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
        ratio = (weight / spread(scale, weight)).clamp(low, high)
        return (ratio + (ratio.round() - ratio).detach()) * spread(scale, weight)

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
@pytest.mark.parametrize("power", [1, 3])
def test_learned_scales_begin_with_the_best_of_fifty_fractions(bits, granularity, power):
    generator = torch.Generator().manual_seed(power)
    weight = torch.cat((torch.randn(12, 96, generator=generator) ** power, torch.rand(4, 96, generator=generator)))
    scale = AbsMax(granularity).quantise(weight, None, bits).scale
    candidates = torch.linspace(0.1, 1.0, 50).tolist()
    squares = torch.stack([(fake_quantise(weight, scale * part, bits) - weight).square() for part in candidates])
    (rows, groups) = scale.shape
    errors = squares.view(50, rows, 16 // rows, groups, 96 // groups).sum((2, 4))
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
    rows, groups = quantised.scale.shape
    largest = weight.abs().view(rows, 6 // rows, groups, 10 // groups).amax((1, 3))
    assert torch.equal(quantised.scale, largest / 7)
    assert int(quantised.integers.abs().max()) == 7
    assert AbsMax(granularity).initial_log_scales(weight, BITS) is None
    assert AbsMax(granularity).log_scale_shape(weight.shape) is None
    leaf = weight.clone().requires_grad_()
    AbsMax(granularity).fake_quantise(leaf, None, 4).sum().backward()
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, torch.ones_like(leaf))


@pytest.mark.parametrize("quantizer", [Lsq(), AbsMax(), Lsq(PerGroup(2)), AbsMax(PerGroup(2))], ids=str)
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


# Groups of inputs


@pytest.mark.parametrize("kind", [Lsq, AbsMax])
@pytest.mark.parametrize("bits", BITS)
def test_groups_are_the_channels_of_a_weight_of_as_many_rows(kind, bits):
    """Rounded weights and the gradients of weights and scales, to the last bit."""
    weight, outer = torch.randn(2, 6, 12, generator=torch.Generator().manual_seed(0))

    def trained(granularity, shape):
        leaf = weight.reshape(shape).clone().requires_grad_()
        rows = kind(granularity).initial_log_scales(leaf, (bits,))
        leaves = [leaf] if rows is None else [leaf, rows[0].requires_grad_()]
        rounded = kind(granularity).fake_quantise(*leaves, *[None] * (2 - len(leaves)), bits)
        found = rounded, *leaves[1:], *torch.autograd.grad((rounded * outer.reshape(shape)).sum(), leaves)
        return [each.detach().flatten() for each in found]

    grouped, rows = trained(PerGroup(4), (6, 12)), trained(PerChannel(), (18, 4))
    assert all(map(torch.equal, grouped, rows))


@pytest.mark.parametrize("kind", [Lsq, AbsMax])
def test_a_group_of_all_inputs_is_a_channel_and_convolutions_have_no_groups(kind):
    for shape, size in (((6, 12), 12), ((4, 3, 5), 2), ((4, 1, 3, 3), 2)):
        weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        grouped, channels = kind(PerGroup(size)), kind(PerChannel())
        rows = [each.initial_log_scales(weight, (4,)) for each in (grouped, channels)]
        found, expected = (
            each.quantise(weight, row if row is None else row[0], 4)
            for each, row in zip((grouped, channels), rows, strict=True)
        )
        assert torch.equal(found.scale, expected.scale)
        assert torch.equal(found.integers, expected.integers)


@pytest.mark.parametrize("bits", [2, 4])
def test_smaller_groups_have_less_error(bits):
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))

    def error(granularity) -> float:
        return (AbsMax(granularity).quantise(weight, None, bits).dequantise() - weight).square().sum().item()

    errors = [error(granularity) for granularity in (PerGroup(4), PerGroup(16), PerChannel(), PerTensor())]
    assert errors == sorted(errors)


def test_a_prefix_of_whole_groups_keeps_their_scales():
    scales = torch.arange(18.0).view(6, 3)
    assert torch.equal(narrow(scales, PerGroup(4).scale_shape((4, 8))), scales[:4, :2])
    message = r"Groups of 4 inputs must divide the inputs of a matrix; found 10 inputs\. Choose a size"
    with pytest.raises(ValueError, match=message):
        PerGroup(4).scale_shape((4, 10))


@pytest.mark.parametrize("size", [0, -4, 2.0, "64", None, True])
def test_groups_of_no_inputs_are_refused(size):
    with pytest.raises(
        ValueError, match=r"A group must have a whole number of inputs, 1 or more; found .*\. Give such"
    ):
        PerGroup(size)


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
def test_a_selection_keeps_scales_unless_it_breaks_groups(granularity):
    stored = AbsMax(granularity).quantise(example()[0], None, 4)
    rows, groups = torch.tensor([5, 1, 2]), torch.tensor([4, 5, 0, 1])
    broken = [torch.tensor(entries) for entries in ([5, 4], [1, 2], [0, 1, 2], [0, 2])]
    for dim, entries in ((0, rows), (1, groups), *((1, entries) for entries in broken)):
        selected = stored.select(dim, entries)
        keeps = granularity != PerGroup(2) or not any(entries is each for each in broken)
        assert isinstance(selected, Quantised) == keeps
        found = selected.dequantise() if isinstance(selected, Quantised) else selected
        assert torch.equal(found, stored.dequantise().index_select(dim, entries))
