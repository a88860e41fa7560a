"""Divergences equal their definitions, distribution by distribution, and so do their gradients."""

import math

import pytest
import torch
from torch import Tensor

from allinone.losses import AlphaDivergence, Kl

DIVERGENCES = [Kl(), AlphaDivergence(), AlphaDivergence(-0.5, 0.5, 2.0), AlphaDivergence(clip=math.inf)]


def distributions(spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Log probabilities of a member and a teacher, (batch, positions, vocab) in double precision."""
    generator = torch.Generator().manual_seed(0)
    member, teacher = (
        (spread * torch.randn(3, 50, 6, generator=generator, dtype=torch.float64)).log_softmax(-1) for _ in range(2)
    )
    return member, teacher


def alpha_divergences(log_probs: Tensor, teacher: Tensor, alpha: float) -> Tensor:
    """The definition."""
    member, teacher = log_probs.exp(), teacher.exp()
    return (member * ((teacher / member) ** alpha - 1)).sum(-1) / (alpha * (alpha - 1))


def kl_divergences(log_probs: Tensor, teacher: Tensor) -> Tensor:
    """The definition."""
    return (teacher.exp() * (teacher - log_probs)).sum(-1)


def gradient(divergence, logits: Tensor, teacher: Tensor) -> Tensor:
    logits = logits.detach().requires_grad_()
    (found,) = torch.autograd.grad(divergence(logits.log_softmax(-1), teacher).sum(), logits)
    return found


def test_kl_is_from_the_teacher_to_the_member():
    member, teacher = distributions()
    torch.testing.assert_close(Kl()(member, teacher), kl_divergences(member, teacher))


@pytest.mark.parametrize(("alpha_minus", "alpha_plus"), [(-1.0, 1.0), (-1.0, 0.5), (-2.0, 0.9)])
def test_without_clipping_the_larger_of_both_alpha_divergences_is_taken_and_its_gradient(alpha_minus, alpha_plus):
    member, teacher = distributions()

    def definition(log_probs, teacher):
        minus = alpha_divergences(log_probs, teacher, alpha_minus)
        plus = (
            kl_divergences(log_probs, teacher) if alpha_plus == 1 else alpha_divergences(log_probs, teacher, alpha_plus)
        )
        larger = torch.maximum(minus, plus)
        assert (larger == minus).any()
        assert (larger == plus).any()
        return larger

    found = AlphaDivergence(alpha_minus, alpha_plus, math.inf)
    torch.testing.assert_close(found(member, teacher), definition(member, teacher))
    torch.testing.assert_close(gradient(found, member, teacher), gradient(definition, member, teacher))


def test_towards_alpha_1_it_becomes_kl():
    member, teacher = distributions(3.0)
    exact, near = AlphaDivergence(clip=math.inf), AlphaDivergence(alpha_plus=1 - 1e-7, clip=math.inf)
    torch.testing.assert_close(near(member, teacher), exact(member, teacher), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradient(near, member, teacher), gradient(exact, member, teacher), rtol=1e-5, atol=1e-7)


def test_clipping_bounds_the_importance_weights_of_values_and_gradients():
    """AlphaNet's gradient: -1 / alpha * E_q[min((p / q)^alpha, clip) * grad log q], here for alpha = -1."""
    member, teacher = distributions()
    divergence = AlphaDivergence()
    probs = member.exp()
    ratios = probs / teacher.exp()
    weights = ratios.clamp(max=5)
    values = ((probs * weights).sum(-1) - 1) / 2
    chosen = values > kl_divergences(member, teacher)
    assert ((ratios > 5).any(-1) & chosen).any()
    torch.testing.assert_close(divergence(member, teacher)[chosen], values[chosen])
    torch.testing.assert_close(divergence(member, teacher)[~chosen], Kl()(member, teacher)[~chosen])
    jacobian = torch.eye(6) - probs[..., None, :]  # of log q by logits
    expected = (probs * weights)[..., None, :] @ jacobian
    torch.testing.assert_close(gradient(divergence, member, teacher)[chosen], expected[..., 0, :][chosen])


@pytest.mark.parametrize("divergence", DIVERGENCES, ids=str)
@pytest.mark.parametrize("spread", [0.01, 1.0, 10.0])
def test_a_divergence_is_zero_for_equal_distributions_and_positive_for_others(divergence, spread):
    member, teacher = distributions(spread)
    assert not divergence(teacher, teacher).any()
    assert (gradient(divergence, teacher, teacher).abs() < 1e-12).all()
    assert (divergence(member, teacher) > 0).all()


@pytest.mark.parametrize("alpha", [-0.5, -1.0, -3.0])
def test_the_lowest_clip_is_the_one_below_which_a_divergence_may_be_negative(alpha):
    """A member says a little (e) of what the teacher excludes: (e * clip + (1 - e)^(1 - alpha) - 1) / ..."""
    share, lowest = 1e-3, 1 - alpha
    assert share * lowest + (1 - share) ** (1 - alpha) - 1 > 0
    assert share * (lowest - 0.1) + (1 - share) ** (1 - alpha) - 1 < 0
    AlphaDivergence(alpha, clip=lowest)
    with pytest.raises(ValueError, match=rf"a clip of at least 1 - alpha_minus; found {alpha}, 1.0 and .* Correct"):
        AlphaDivergence(alpha, clip=lowest - 0.1)


@pytest.mark.parametrize("divergence", DIVERGENCES[:3], ids=str)
def test_extreme_distributions_have_finite_divergences_and_gradients(divergence):
    logits = 1e4 * torch.eye(3)[None]
    teacher = logits.roll(1, dims=1).log_softmax(-1)
    assert divergence(logits.log_softmax(-1), teacher).isfinite().all()
    assert gradient(divergence, logits, teacher).isfinite().all()


@pytest.mark.parametrize("divergence", DIVERGENCES, ids=str)
def test_no_gradient_flows_into_the_teacher(divergence):
    member, teacher = (torch.randn(1, 3, 4, requires_grad=True) for _ in range(2))
    divergence(member.log_softmax(-1), teacher.log_softmax(-1)).sum().backward()
    assert member.grad is not None
    assert teacher.grad is None


@pytest.mark.parametrize(("alpha_minus", "alpha_plus"), [(0.0, 1.0), (-1.0, 0.0), (-1.0, 1.5)])
def test_alphas_on_the_wrong_side_are_refused(alpha_minus, alpha_plus):
    with pytest.raises(ValueError, match="requires alpha_minus below 0, alpha_plus above 0 and up to 1"):
        AlphaDivergence(alpha_minus, alpha_plus)
