"""Tests of the mean squares of what linear maps are given."""

import torch
from torch import nn

from allinone.models.input_squares import input_squares


def test_squares_are_averaged_over_all_frames_of_all_calls():
    network = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    unused = nn.Linear(4, 4)
    network.unused = unused
    frames = torch.randn(7, 3)

    def listen() -> None:
        network[2](network[1](network[0](frames[:4].view(2, 2, 3))))
        network[2](network[1](network[0](frames[4:])))

    found = input_squares(network, listen)
    hidden = network[0](frames).relu()
    assert set(found) == {"0.weight", "2.weight"}
    torch.testing.assert_close(found["0.weight"], frames.square().mean(0))
    torch.testing.assert_close(found["2.weight"], hidden.square().mean(0))
    assert not network[0]._forward_pre_hooks


def test_they_weigh_the_error_of_an_output():
    """Of independent inputs: the mean squared error of an output is the sum of squares times squared errors."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(200_000, 3, generator=generator) * torch.tensor([0.1, 1.0, 5.0])
    linear, error = nn.Linear(3, 1, bias=False), torch.tensor([0.3, -0.2, 0.1])
    squares = input_squares(nn.Sequential(linear), lambda: linear(frames))["0.weight"]
    torch.testing.assert_close((frames @ error).square().mean(), (squares * error.square()).sum(), rtol=0.02, atol=0)
