"""The modules of a layer: dropout, attention, convolution, feed-forward, and what makes them elastic."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from allinone.layers import ConvolutionModule, FeedForward, RelativeSelfAttention, RotarySelfAttention
from allinone.layers.dropout import Dropout, as_tensors, on_device
from allinone.layers.elastic import Elastic
from allinone.quantization import AbsMax, Lsq, PerGroup, Quantised
from allinone.subnet import LayerConfig

DIM, HEADS = 16, 2


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_zeroes_its_share_and_keeps_the_mean(p):
    torch.manual_seed(0)
    x = torch.ones(1001, 301)
    dropped = Dropout(p)(x)
    assert (dropped == 0).float().mean() == pytest.approx(p, abs=0.005)
    assert dropped.mean() == pytest.approx(1.0, abs=0.03)
    kept = dropped[dropped != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)), rtol=1e-3, atol=0)
    per_column = (dropped == 0).float().mean(0)
    assert (per_column - p).abs().max() < 6 * math.sqrt(p * (1 - p) / 1001)


def test_dropout_follows_the_seed():
    x = torch.ones(50, 7)
    torch.manual_seed(1)
    first, second = Dropout(0.5)(x), Dropout(0.5)(x)
    torch.manual_seed(1)
    assert torch.equal(Dropout(0.5)(x), first)
    assert not torch.equal(first, second)


def test_dropout_leaves_evaluation_alone_and_passes_the_gradient_of_what_it_keeps():
    x = torch.randn(40, 5, requires_grad=True)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    dropped = Dropout(0.5)(x)
    dropped.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x, dropped)


@pytest.mark.parametrize("p", [0.1, 0.15, 1 / 3, 0.5, 0.9])
@pytest.mark.parametrize("factor", [1.0, 0.5, 0.0])
def test_a_factor_is_one_of_the_probability_as_a_number_and_as_a_tensor(p, factor):
    """The draws are those of that probability, bit for bit, with a factor of 1, too."""
    x, (tensor,) = torch.randn(50, 7), as_tensors([factor], torch.device("cpu"))
    torch.manual_seed(0)
    expected = Dropout(p * factor)(x)
    for given in (factor, tensor):
        torch.manual_seed(0)
        assert torch.equal(Dropout(p)(x, given), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_other_devices_do_with_a_tensor_is_dropout(dtype):
    torch.manual_seed(0)
    x = torch.ones(1001, 301, dtype=dtype)
    dropped = on_device(x, 0.4 * as_tensors([0.5], x.device)[0])
    assert dropped.dtype == dtype
    assert (dropped == 0).float().mean() == pytest.approx(0.2, abs=0.005)
    assert dropped.float().mean() == pytest.approx(1.0, abs=0.01)


def test_an_impossible_dropout_is_refused():
    with pytest.raises(ValueError, match=r"from 0 to below 1; found 1. Give"):
        Dropout(1)


def naive_relative(module: RelativeSelfAttention, x: torch.Tensor) -> torch.Tensor:
    """Transformer-XL, Eq. 4 of section 3.3, score by score, for one utterance (time, dim)."""
    time, size = len(x), module.head_dim
    queries, keys, values = module.query(x), module.key(x), module.value(x)
    heads = []
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        scores = torch.empty(time, time)
        for i in range(time):
            for j in range(time):
                rates = 10_000 ** (-torch.arange(0, DIM, 2) / DIM)
                encoding = torch.stack(((rates * (i - j)).sin(), (rates * (i - j)).cos()), -1).flatten()
                content = (queries[i] + module.content_bias)[part] @ keys[j, part]
                position = (queries[i] + module.position_bias)[part] @ module.position(encoding)[part]
                scores[i, j] = (content + position) / math.sqrt(size)
        heads.append(scores.softmax(-1) @ values[:, part])
    return module.output(torch.cat(heads, -1))


HEAD_SIZES = pytest.mark.parametrize("head_dim", [None, 6], ids=["dim / heads", "a size of their own"])


@HEAD_SIZES
@torch.no_grad()
def test_relative_attention_is_the_equation_score_by_score(head_dim):
    torch.manual_seed(0)
    module = RelativeSelfAttention(DIM, HEADS, 0.0, head_dim)
    assert module.head_dim == (head_dim or DIM // HEADS)
    for parameter in (module.content_bias, module.position_bias):
        parameter.normal_()
    x, lengths = torch.randn(2, 7, DIM), torch.tensor([7, 4])
    attended = module(x, module.context(x, lengths))
    for index, length in enumerate(lengths.tolist()):
        expected = naive_relative(module, x[index, :length])
        torch.testing.assert_close(attended[index, :length], expected, rtol=1e-4, atol=1e-5)


@HEAD_SIZES
@torch.no_grad()
def test_rotary_attention_turns_pairs_by_angles_that_grow_with_the_position(head_dim):
    torch.manual_seed(0)
    module, size = RotarySelfAttention(DIM, HEADS, 0.0, head_dim), head_dim or DIM // HEADS
    x, lengths = torch.randn(2, 7, DIM), torch.tensor([7, 4])
    attended = module(x, module.context(x, lengths))
    rates = 10_000.0 ** (-torch.arange(0, size, 2) / size)
    for index, length in enumerate(lengths.tolist()):
        one = x[index, :length]
        turns = torch.polar(torch.ones(length, size // 2), torch.arange(length)[:, None] * rates)
        heads = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            query, key = (
                torch.complex(*linear(one)[:, part].chunk(2, -1)) * turns for linear in (module.query, module.key)
            )
            scores = (query @ key.conj().T).real / math.sqrt(size)
            heads.append(scores.softmax(-1) @ module.value(one)[:, part])
        torch.testing.assert_close(attended[index, :length], module.output(torch.cat(heads, -1)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_convolution_module_is_gate_depthwise_norm_silu_projection():
    torch.manual_seed(0)
    module = ConvolutionModule(DIM, 5, 0.0)
    x, padding = torch.randn(1, 9, DIM), torch.zeros(1, 9, dtype=torch.bool)
    values, gates = module.expand(x[0]).chunk(2, -1)
    padded = functional.pad(values * gates.sigmoid(), (0, 0, 2, 2))
    kernel, bias = module.depthwise.weight[:, 0], module.depthwise.bias
    assert bias is not None
    convolved = torch.stack([(padded[time : time + 5] * kernel.T).sum(0) + bias for time in range(9)])
    normed = module.norm(convolved)
    expected = module.project(normed * normed.sigmoid())
    torch.testing.assert_close(module(x, padding)[0], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_narrow_elastic_module_computes_with_fewer_units():
    """It does not multiply by zeros: the ordinary module of that width gives the same."""
    wide = FeedForward(8, 12, 0.0)
    elastic, narrow, x = Elastic(wide, wide.axes, Lsq(), (4,)), FeedForward(8, 5, 0.0), torch.randn(3, 8)
    narrow.load_state_dict(elastic.weights(LayerConfig(5)))
    assert torch.equal(elastic(LayerConfig(5), x), narrow(x))
    assert elastic.weights(LayerConfig(5))["up.bias"].shape == (5,)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("kind", [RelativeSelfAttention, RotarySelfAttention])
@torch.no_grad()
def test_an_elastic_attention_computes_with_its_first_heads(kind):
    """The ordinary module of so many heads gives the same; without a number of heads it has all of them."""
    whole, few = kind(DIM, 4, 0.0, 6), kind(DIM, 3, 0.0, 6)
    elastic, x = Elastic(whole, whole.axes, Lsq(), (4,)), torch.randn(2, 7, DIM)
    context = whole.context(x, torch.tensor([7, 4]))
    few.load_state_dict(elastic.weights(LayerConfig(1, heads=3)))
    assert few.query.weight.shape == (18, DIM)
    assert torch.equal(elastic(LayerConfig(1, heads=3), x, context), few(x, context))
    assert torch.equal(elastic(LayerConfig(1), x, context), whole(x, context))


@torch.no_grad()
def test_scales_follow_the_weights_only_when_they_are_told_to():
    elastic = Elastic(nn.Linear(6, 6), {}, Lsq(), (4, 32))
    before = elastic.log_scales["weight"].clone()
    elastic.module.weight.mul_(2)  # pyright: ignore[reportCallIssue]
    elastic(LayerConfig(6, 4), torch.randn(2, 6))
    assert torch.equal(elastic.log_scales["weight"], before)
    elastic.initialise_scales()
    torch.testing.assert_close(elastic.log_scales["weight"], before + math.log(2))


@pytest.mark.parametrize("kind", [Lsq, AbsMax])
@pytest.mark.parametrize("width", [4, 8, 12])
def test_a_narrow_member_rounds_the_prefix_of_a_weight_with_the_groups_in_it(kind, width):
    torch.manual_seed(0)
    module, quantizer = FeedForward(8, 12, 0.0), kind(PerGroup(4))
    elastic, config = Elastic(module, module.axes, quantizer, (4, 8)), LayerConfig(width, 4)
    rows = quantizer.initial_log_scales(module.down.weight, (4,))  # of the whole weight
    groups = None if rows is None else rows[0, :, : width // 4]
    with torch.no_grad():
        expected = quantizer.quantise(module.down.weight[:, :width], groups, 4)
    stored = elastic.weights(config)["down.weight"]
    assert isinstance(stored, Quantised)
    assert stored.scale.shape == (8, width // 4)
    assert torch.equal(stored.scale, expected.scale)
    assert torch.equal(stored.integers, expected.integers)
    assert torch.equal(elastic.effective(config)["down.weight"], stored.dequantise())


def test_scales_of_groups_are_taken_over_only_where_the_groups_are_the_same():
    torch.manual_seed(0)
    weight = torch.randn(8, 24)
    elastic = Elastic(nn.Linear(12, 8), {}, Lsq(PerGroup(4)), (8,))
    before = elastic.log_scales["weight"][0].clone()
    elastic.take_over_scale("weight", AbsMax(PerGroup(8)).quantise(weight, None, 8))  # three groups, too
    assert torch.equal(elastic.log_scales["weight"][0], before)
    stored = AbsMax(PerGroup(4)).quantise(weight[:, :12], None, 8)
    elastic.take_over_scale("weight", stored)
    assert torch.equal(elastic.log_scales["weight"][0], stored.scale.log())
