"""Laws of nested integers: the rule, its inverse by bits, its gradients, and where the one scale begins."""

import pytest
import torch
from torch import Tensor

from allinone.layers.elastic import Elastic
from allinone.models import conformer_tiny
from allinone.quantization import (
    NESTED_BITS,
    AbsMax,
    Lsq,
    Nested,
    PerChannel,
    PerGroup,
    PerTensor,
    Quantised,
    coarser,
    integer_range,
)
from allinone.subnet import SubnetConfig

BITS = (2, 3, 4, 5, 6, 7, 8)
GRANULARITIES = [PerTensor(), PerChannel(), PerGroup(2)]


def example(granularity=PerChannel(), shape=(6, 10)) -> tuple[Nested, Tensor, Tensor]:  # noqa: B008
    """A quantiser, a weight of which some is clamped, and the logarithm of its scale."""
    quantizer, weight = Nested(granularity), torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return quantizer, weight, quantizer.initial_log_scales(weight, (2, 4, 8))[0] - 0.3


@pytest.mark.parametrize("bits", BITS[:-1])
def test_the_rule_by_whole_numbers_for_every_integer_of_eight_bits(bits):
    """Against the definition, in exact arithmetic: the nearest of fewer steps, halves up, clamped."""
    low, high = integer_range(bits)
    q8 = torch.arange(-128, 128, dtype=torch.int8)
    expected = [min(max((q + 2 ** (7 - bits)) // 2 ** (8 - bits), low), high) for q in q8.tolist()]
    found = coarser(Quantised(q8, torch.tensor([0.75]), NESTED_BITS), bits)
    assert found.integers.tolist() == expected
    assert (found.bits, found.scale.item()) == (bits, 0.75 * 2 ** (8 - bits))
    log_scale = torch.tensor([-0.3])
    rounded = Nested(PerTensor()).quantise(q8 * log_scale.exp(), log_scale, bits)
    assert rounded.integers.tolist() == expected
    first = q8 >> (7 - bits)  # the b + 1 most significant bits say it all
    assert torch.equal(coarser(Quantised(first, found.scale, bits + 1), bits).integers, found.integers)
    assert found.integers[q8 == 0].item() == 0


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
@pytest.mark.parametrize("shape", [(6, 10), (4, 3, 5), (4, 1, 3, 3)])
def test_a_member_of_fewer_bits_is_read_from_the_integers_of_eight(bits, granularity, shape):
    quantizer, weight, log_scale = example(granularity, shape)
    whole, stored = (quantizer.quantise(weight, log_scale, width) for width in (8, bits))
    read = coarser(whole, bits)
    assert torch.equal(read.integers, stored.integers)
    assert torch.equal(read.scale, stored.scale)
    assert torch.equal(read.dequantise(), quantizer.fake_quantise(weight, log_scale, bits))
    low, high = integer_range(bits)
    assert stored.integers.min() >= low
    assert high - 1 <= stored.integers.max() <= high


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
def test_gradients_are_those_of_detached_rounding(bits, granularity):
    """Straight-through for the weight; the one scale by LSQ, divided by sqrt(weights per scale * largest integer)."""
    quantizer, weight, log_scale = example(granularity)
    low, high = integer_range(bits)
    outer = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    whole = quantizer.quantise(weight, log_scale, bits).integers.float()

    def gradients(function):
        leaves = weight.clone().requires_grad_(), log_scale.clone().requires_grad_()
        return torch.autograd.grad((function(*leaves) * outer).sum(), leaves)

    def naive(weight: Tensor, log_scale: Tensor) -> Tensor:
        scale = log_scale.exp() * 2 ** (8 - bits)
        for axis, size in enumerate(weight.shape):
            scale = scale.repeat_interleave(size // scale.shape[axis], axis)
        ratio = (weight / scale).clamp(low, high)
        return (ratio + (whole - ratio).detach()) * scale

    to_weight, to_scale = gradients(lambda weight, scale: quantizer.fake_quantise(weight, scale, bits))
    naive_to_weight, naive_to_scale = gradients(naive)
    torch.testing.assert_close(to_weight, naive_to_weight, rtol=1e-5, atol=1e-6)
    divisor = (weight.numel() / log_scale.numel() * high) ** 0.5
    torch.testing.assert_close(to_scale * divisor, naive_to_scale, rtol=1e-4, atol=1e-4)
    assert (to_weight == 0).any()  # clamped ones


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
@pytest.mark.parametrize("bits", [(8,), (4, 8), (2, 4, 8), (2,)])
def test_the_scale_begins_where_all_precisions_together_err_least(bits, granularity):
    generator = torch.Generator().manual_seed(0)
    weight = torch.cat((torch.randn(12, 96, generator=generator), torch.rand(4, 96, generator=generator)))
    quantizer = Nested(granularity)
    rows = quantizer.initial_log_scales(weight, bits)
    assert rows.shape == (1, *quantizer.log_scale_shape(weight.shape)) == (1, *granularity.scale_shape(weight.shape))

    def errors(log_scale: Tensor) -> Tensor:
        """Of each scale, over all bit-widths."""
        squares = sum((quantizer.quantise(weight, log_scale, width).dequantise() - weight).square() for width in bits)
        outputs, groups = log_scale.shape
        assert isinstance(squares, Tensor)
        return squares.view(outputs, 16 // outputs, groups, 96 // groups).sum((1, 3))

    least = errors(rows[0])
    unclamped = AbsMax(granularity).quantise(weight, None, NESTED_BITS).scale
    candidates = [errors((unclamped * fraction).log()) for fraction in torch.linspace(0.1, 1.5, 60).tolist()]
    torch.testing.assert_close(least, torch.stack(candidates).amin(0))
    assert min(bits) == 8 or least.sum() < 0.98 * errors(unclamped.log()).sum()


def test_zeros_stay_zeros():
    quantizer, weight = Nested(), torch.zeros(3, 4)
    (log_scale,) = quantizer.initial_log_scales(weight, (2, 8))
    for bits in BITS:
        stored = quantizer.quantise(weight, log_scale, bits)
        assert stored.dequantise().isfinite().all()
        assert not stored.integers.any()


def test_all_precisions_train_the_one_scale_of_a_matrix_and_start_from_a_stored_one():
    layer = conformer_tiny().build(SubnetConfig.uniform(1, 64)).layers[0]
    elastic = Elastic(layer, {}, Nested(), (2, 4, 8))
    name = "feed_forward_1.up.weight"
    (row,) = elastic.log_scales["feed_forward_1/up/weight"]
    assert row.shape == (64, 1)
    separate = Elastic(layer, {}, Lsq(), (2, 4, 8)).log_scales["feed_forward_1/up/weight"]
    assert len(separate) == 3
    for bits in (2, 4, 8):
        config = SubnetConfig.uniform(1, 64, bits).layers[0]
        elastic.zero_grad()
        elastic.effective(config)[name].square().sum().backward()
        assert elastic.log_scales["feed_forward_1/up/weight"].grad.abs().sum() > 0
        stored = elastic.weights(config)[name]
        assert isinstance(stored, Quantised)
        with torch.no_grad():
            elastic.log_scales["feed_forward_1/up/weight"].zero_()
        elastic.take_over_scale(name, stored)
        again = elastic.weights(config)[name]
        assert isinstance(again, Quantised)
        torch.testing.assert_close(again.scale, stored.scale)
