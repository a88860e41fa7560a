"""Batch normalisation: equal to PyTorch's on the valid frames alone, and without memory."""

import pytest
import torch
from torch import nn

from allinone.layers import MaskedBatchNorm, padding_mask

DIM = 6


def example() -> tuple[MaskedBatchNorm, nn.BatchNorm1d, torch.Tensor, torch.Tensor]:
    """Ours and PyTorch's with equal weights, and a padded batch."""
    torch.manual_seed(0)
    ours, theirs = MaskedBatchNorm(DIM), nn.BatchNorm1d(DIM, track_running_stats=False)
    with torch.no_grad():
        for one, other in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
            other.copy_(one.normal_())
    return ours, theirs, 3 + 2 * torch.randn(3, 9, DIM), padding_mask(torch.tensor([9, 4, 1]), 9)


def test_it_is_the_batch_norm_of_the_valid_frames_with_its_gradients():
    ours, theirs, x, padding = example()
    x.requires_grad_()
    found, expected = ours(x, padding)[~padding], theirs(x[~padding])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(found)
    one = torch.autograd.grad((found * weights).sum(), [x, ours.weight, ours.bias])
    other = torch.autograd.grad((expected * weights).sum(), [x, theirs.weight, theirs.bias])
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_training_tracks_nothing_and_evaluation_takes_the_buffers():
    ours, _, x, padding = example()
    ours(x, padding)
    assert torch.equal(ours.mean, torch.zeros(DIM))
    assert torch.equal(ours.variance, torch.ones(DIM))
    ours.mean.copy_(torch.randn(DIM))
    ours.variance.copy_(torch.rand(DIM))
    expected = nn.functional.batch_norm(
        x.flatten(0, 1), ours.mean, ours.variance, ours.weight, ours.bias, training=False, eps=ours.eps
    )
    torch.testing.assert_close(ours.eval()(x, padding).flatten(0, 1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_half_precision_is_summed_in_float32(training):
    ours, _, x, padding = example()
    x = x.half()
    assert torch.equal(ours.train(training)(x, padding), ours(x.float(), padding))


def test_a_batch_of_padding_alone_gives_finite_numbers():
    ours, _, x, _ = example()
    assert ours(x, torch.ones(3, 9, dtype=torch.bool)).isfinite().all()
