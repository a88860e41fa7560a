"""Laws of criteria: what they score, what they need, and that no gradient flows through a score."""

from collections.abc import Iterator

import pytest
import torch

from allinone.sparsity import Adam, Magnitude, Taylor, mean_magnitudes


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.tensor([[0.5, -2.0, 0.0], [-0.25, 1.0, 3.0]], requires_grad=True)


def test_criteria_are_their_equations(weight):
    moment = torch.tensor([[4.0, 1.0, 9.0], [16.0, 0.0, 0.25]])
    gradient = torch.tensor([[1.0, 0.5, 2.0], [4.0, 0.0, 3.0]])
    assert Magnitude().scores(weight).tolist() == [[0.5, 2.0, 0.0], [0.25, 1.0, 3.0]]
    assert Adam().scores(weight, moment).tolist() == [[1.0, 2.0, 0.0], [1.0, 0.0, 1.5]]
    assert Taylor().scores(weight, None, gradient).tolist() == [[0.5, 1.0, 0.0], [1.0, 0.0, 9.0]]


@pytest.mark.parametrize("criterion", [Magnitude(), Adam(), Taylor()], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_scores_are_float32_and_leave_what_they_look_at_alone(criterion, dtype):
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.rand(3, 4, generator=generator).to(dtype).requires_grad_() for _ in range(3)]
    before = [tensor.detach().clone() for tensor in tensors]
    scores = criterion.scores(*tensors)
    assert scores.dtype == torch.float32
    assert scores.shape == (3, 4)
    assert not scores.requires_grad
    scores.zero_()
    assert all(torch.equal(tensor, old) for tensor, old in zip(tensors, before, strict=True))


def test_criteria_say_what_they_need():
    assert [criterion.needs_moments for criterion in (Magnitude(), Adam(), Taylor())] == [False, True, False]
    assert [criterion.batches for criterion in (Magnitude(), Adam(), Taylor(), Taylor(3))] == [0, 0, 16, 3]


def test_adam_without_moments_is_refused(weight):
    with pytest.raises(
        ValueError, match=r"Adam requires Adam's second moments; found none, as before .*\. Choose a sch"
    ):
        Adam().scores(weight, None, torch.ones_like(weight))


def test_taylor_without_gradients_is_refused(weight):
    with pytest.raises(ValueError, match=r"Taylor requires gradients of 3 batches; found none\. Hand over"):
        Taylor(3).scores(weight, torch.ones_like(weight))


@pytest.mark.parametrize("batches", [0, -1, 2.0, "2", None, True])
def test_taylor_over_no_whole_number_of_batches_is_refused(batches):
    with pytest.raises(ValueError, match=r"Taylor requires a whole number of batches, 1 or more; found .*\. Give"):
        Taylor(batches)


def test_magnitudes_of_gradients_are_averaged_though_their_memory_is_reused():
    """A mean of gradients with their signs would be zero here."""
    memory = {"a": torch.zeros(2), "b": torch.zeros(1, dtype=torch.bfloat16)}

    def gradients() -> Iterator[dict[str, torch.Tensor]]:
        for sign in (1, -1, 1, -1):
            memory["a"].copy_(sign * torch.tensor([1.0, 2.0]))
            memory["b"].fill_(sign * 3)
            yield memory

    means = mean_magnitudes(gradients())
    assert {name: mean.tolist() for name, mean in means.items()} == {"a": [1.0, 2.0], "b": [3.0]}
    assert all(mean.dtype == torch.float32 for mean in means.values())


def test_taylor_is_the_mean_over_batches_of_the_first_order_change_of_the_loss(weight):
    inputs = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0))

    def gradients() -> Iterator[dict[str, torch.Tensor]]:
        for x in inputs:
            (gradient,) = torch.autograd.grad((x @ weight.t()).square().sum(), weight)
            yield {"weight": gradient}

    expected = sum((weight * batch["weight"]).abs() for batch in gradients()) / len(inputs)
    scores = Taylor(len(inputs)).scores(weight, None, mean_magnitudes(gradients())["weight"])
    torch.testing.assert_close(scores, expected)


def test_a_mean_of_no_gradients_is_refused():
    with pytest.raises(ValueError, match=r"A mean of gradients requires one batch at least; found none\. Look at"):
        mean_magnitudes([])
