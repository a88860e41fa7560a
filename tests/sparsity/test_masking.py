"""Laws of masked weights: exact zeros, exact gradients, one graph."""

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from allinone.sparsity import StraightThrough, Unstructured, masked, survival_levels

KINDS = [None, StraightThrough(), StraightThrough(0.0)]
INSTANCE = "ignore:.*torch.autograd.function.Function.* should not be instantiated:DeprecationWarning"


def example(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """A weight of both signs, and its levels."""
    weight = torch.randn(8, 12, generator=torch.Generator().manual_seed(0))
    return weight.to(dtype).requires_grad_(), survival_levels(weight.abs(), Unstructured())


@pytest.mark.parametrize("straight_through", KINDS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("threshold", [0, 1, 100, 199])
def test_dropped_weights_are_positive_zeros_and_kept_ones_are_as_they_were(straight_through, dtype, threshold):
    weight, levels = example(dtype)
    expected = torch.where(levels >= threshold, weight, 0.0)
    for given in (threshold, torch.tensor(threshold), torch.tensor(threshold, dtype=torch.uint8)):
        found = masked(weight, levels, given, straight_through)
        assert torch.equal(found, expected)
        assert found.dtype == dtype
        assert torch.equal(found.signbit(), expected.signbit())
        assert found.data_ptr() != weight.data_ptr()


def test_infinite_weights_leave_nothing_behind_where_they_are_dropped():
    weight = torch.tensor([torch.inf, -torch.inf, torch.nan, 1.0])
    assert masked(weight, torch.tensor([0, 0, 0, 1], dtype=torch.uint8), 1).tolist() == [0, 0, 0, 1]


def test_the_gradient_is_that_of_the_function():
    weight, levels = example(torch.float64)
    assert torch.autograd.gradcheck(lambda weight: masked(weight, levels, 100), weight)
    assert torch.autograd.gradgradcheck(lambda weight: masked(weight, levels, 100), weight)


@pytest.mark.parametrize("part", [(slice(0, 5), slice(None)), (slice(None), slice(0, 7))])
def test_dropped_weights_of_a_narrow_member_get_no_gradient(part):
    weight, levels = example()
    gradient = torch.randn(weight[part].shape)
    found = masked(weight[part], levels[part], torch.tensor(100))
    assert torch.equal(found, torch.where(levels >= 100, weight, 0.0)[part])
    (to_weight,) = torch.autograd.grad(found, weight, gradient)
    expected = torch.zeros_like(weight)
    expected[part] = torch.where(levels[part] >= 100, gradient, 0.0)
    assert torch.equal(to_weight, expected)


@pytest.mark.parametrize("decay", [0.0, 2e-4, 1])
def test_straight_through_dropped_weights_get_the_gradient_and_a_share_of_themselves(decay):
    weight, levels = example()
    gradient = torch.randn_like(weight)
    (to_weight,) = torch.autograd.grad(masked(weight, levels, 100, StraightThrough(decay)), weight, gradient)
    dropped = torch.where(levels < 100, weight.detach(), 0.0)
    torch.testing.assert_close(to_weight, gradient + decay * dropped, rtol=1e-6, atol=0)
    assert torch.equal(to_weight[levels >= 100], gradient[levels >= 100])


@pytest.mark.filterwarnings(INSTANCE)
@pytest.mark.parametrize("straight_through", [None, StraightThrough(0.1)], ids=str)
@pytest.mark.parametrize(("kind", "graphs"), [(torch.tensor, 1), (int, 2)])  # an integer is constant at first
def test_all_thresholds_share_a_graph(straight_through, kind, graphs):
    torch.compiler.reset()
    weight, levels = example()
    x, counter = torch.randn(3, 12), CompileCounter()

    def run(threshold: Tensor | int) -> Tensor:
        return torch.nn.functional.linear(x, masked(weight, levels, threshold, straight_through)).sin()

    compiled = torch.compile(run, backend=counter, fullgraph=True)
    for threshold in (100, 50, 120, 199, 10):
        (required,) = torch.autograd.grad(run(kind(threshold)).sum(), weight)
        outputs = compiled(kind(threshold))
        (found,) = torch.autograd.grad(outputs.sum(), weight)
        torch.testing.assert_close(outputs, run(kind(threshold)))
        torch.testing.assert_close(found, required)
    assert counter.frame_count == graphs


@pytest.mark.filterwarnings(INSTANCE)
def test_compiled_code_masks_bit_for_bit():
    torch.compiler.reset()
    weight, levels = example()
    compiled = torch.compile(masked, backend="aot_eager", fullgraph=True)
    outputs = compiled(weight, levels, torch.tensor(100))
    assert torch.equal(outputs, masked(weight, levels, 100))
    assert not outputs[levels < 100].signbit().any()
    (to_weight,) = torch.autograd.grad(outputs.sum(), weight)
    assert torch.equal(to_weight, (levels >= 100).float())


@pytest.mark.parametrize("straight_through", KINDS, ids=str)
def test_autocast_leaves_the_weight_in_its_precision(straight_through):
    weight, levels = example()
    with torch.autocast("cpu", torch.bfloat16):
        found = masked(weight, levels, 100, straight_through)
        outputs = torch.nn.functional.linear(torch.ones(2, 12), found)
    assert found.dtype == torch.float32
    assert outputs.dtype == torch.bfloat16
    (to_weight,) = torch.autograd.grad(outputs.float().sum(), weight)
    assert to_weight.dtype == torch.float32
    assert (to_weight[levels >= 100] == 2).all()


def test_levels_that_change_before_the_backward_pass_are_noticed():
    weight, levels = example()
    outputs = masked(weight, levels, 100)
    levels.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


@pytest.mark.parametrize("decay", [-1e-4, float("inf"), float("nan"), "2e-4", None, True])
def test_a_decay_that_is_no_finite_number_is_refused(decay):
    with pytest.raises(
        ValueError, match=r"decay of dropped weights must be a finite number, 0 or more; found .*\. Give"
    ):
        StraightThrough(decay)
