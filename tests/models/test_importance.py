"""Importance order: sorting units and heads changes no output, and puts the strongest first."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from allinone.layers import FeedForward, RelativeSelfAttention, RotarySelfAttention
from allinone.models import Encoder
from allinone.models.importance import head_norms, sort_by_importance, unit_norms
from allinone.subnet import SubnetConfig
from tests.laws.examples import make_layout

POSITIONS = pytest.mark.parametrize("positions", ["relative", "rotary"])
SCORES = pytest.mark.parametrize("scores", [unit_norms, head_norms])


def make_network(positions: str, **changes: Any) -> Encoder:
    """An encoder in double precision, whose biases are not where they began."""
    torch.manual_seed(0)
    layout = make_layout(positions=positions, num_heads=4, head_dim=6, **changes)
    network = layout.build(SubnetConfig.uniform(3, 24)).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@torch.no_grad()
def outputs(network: nn.Module) -> Tensor:
    features = torch.randn(2, 60, 80, generator=torch.Generator().manual_seed(1)).double()
    return network(features, torch.tensor([60, 40]))[0]


@POSITIONS
@SCORES
def test_sorting_changes_no_output_and_puts_the_highest_scores_first(positions, scores):
    network = make_network(positions)
    before, unsorted = outputs(network), scores(network)
    sort_by_importance(network, unsorted)
    torch.testing.assert_close(outputs(network), before, rtol=0, atol=1e-6)
    after = scores(network)
    for name, score in unsorted.items():
        assert not (score.diff() <= 0).all()
        torch.testing.assert_close(after[name], score.sort(descending=True).values)


@POSITIONS
def test_every_unit_and_every_head_has_a_score(positions):
    network = make_network(positions)
    kinds = RelativeSelfAttention | RotarySelfAttention
    units = {name for name, module in network.named_modules() if isinstance(module, FeedForward)}
    heads = {name for name, module in network.named_modules() if isinstance(module, kinds)}
    assert {name: len(score) for name, score in unit_norms(network).items()} == dict.fromkeys(units, 24)
    assert {name: len(score) for name, score in head_norms(network).items()} == dict.fromkeys(heads, 4)
    assert (len(units), len(heads)) == (6, 3)


@POSITIONS
@torch.no_grad()
def test_scores_from_elsewhere_move_whole_heads_with_all_that_belongs_to_them(positions):
    network = make_network(positions)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    expected = outputs(network)
    sort_by_importance(network, {"layers.1.attention": torch.tensor([0.1, 0.3, 0.2, 0.4])})
    torch.testing.assert_close(outputs(network), expected, rtol=0, atol=1e-6)
    axes: Any = network.layers[1].attention.axes  # pyright: ignore[reportAttributeAccessIssue]
    for name, parameter in network.named_parameters():
        axis = axes.get(name.removeprefix("layers.1.attention."))
        if axis is None:
            assert torch.equal(parameter, before[name])
        else:
            heads = before[name].split(6, axis.dim)
            assert torch.equal(parameter, torch.cat([heads[head] for head in (3, 1, 2, 0)], axis.dim))


@torch.no_grad()
def test_the_norm_of_a_head_of_one_dimension_is_that_of_a_unit():
    attention = RelativeSelfAttention(16, 4, 0.0, head_dim=1)
    expected = attention.value.weight.norm(dim=1) * attention.output.weight.norm(dim=0)
    torch.testing.assert_close(head_norms(attention)[""], expected)


@torch.no_grad()
def test_the_norm_of_a_head_does_not_depend_on_the_basis_in_which_it_computes():
    torch.manual_seed(0)
    attention, basis = RotarySelfAttention(16, 4, 0.0).double(), torch.randn(4, 4).double()
    before = head_norms(attention)[""]
    attention.value.weight[4:8] = basis @ attention.value.weight[4:8]
    attention.output.weight[:, 4:8] = attention.output.weight[:, 4:8] @ basis.inverse()
    torch.testing.assert_close(head_norms(attention)[""], before)
