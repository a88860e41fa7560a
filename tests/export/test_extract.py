"""The law of parity for extraction: the plain network computes exactly what the supernet computes as that member."""

import pytest
import torch

from allinone.export import extract
from allinone.layers.elastic import Elastic
from allinone.quantization import AbsMax, Lsq, PerChannel, PerTensor
from allinone.subnet import SubnetConfig
from tests.export.families import BITS, LAYOUTS, MIXED, make_task

QUANTIZERS = [kind(granularity()) for kind in (Lsq, AbsMax) for granularity in (PerTensor, PerChannel)]
MEMBERS = [SubnetConfig.uniform(2, 32, bits) for bits in BITS] + [SubnetConfig.uniform(3, 64, 4), MIXED]


def padded_batch() -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([21_000, 9_000, 14_321])
    waveforms = 0.1 * torch.randn(3, 21_000, generator=torch.Generator().manual_seed(2))
    return waveforms, lengths


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
@torch.no_grad()
def test_an_extracted_member_equals_the_supernet_on_padded_batches(layout, quantizer):
    task = make_task(layout(), quantizer).eval()
    outputs = []
    for member in MEMBERS:
        network = extract(task, member)
        required, found = task(*padded_batch(), member), network(*padded_batch())
        assert torch.equal(found.lengths, required.lengths)
        assert torch.equal(found.log_probs, required.log_probs), member.name
        assert not any(torch.equal(found.log_probs, other) for other in outputs)  # bits and widths do matter
        outputs.append(found.log_probs)


def test_an_extracted_member_is_plain_frozen_and_of_the_members_size():
    network = extract(make_task(), MIXED)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(isinstance(module, Elastic) for module in network.modules())
    state = network.state_dict()
    assert [state[f"encoder.layers.{i}.feed_forward_1.up.weight"].shape[0] for i in range(3)] == [64, 32, 48]
    assert all(weight.dtype == torch.float32 and weight.is_contiguous() for weight in state.values())


def test_extraction_leaves_the_supernet_alone_and_owns_its_weights():
    task = make_task().train()
    before = {name: weight.clone() for name, weight in task.state_dict().items()}
    network = extract(task, SubnetConfig.uniform(2, 32, 32))
    for parameter in network.parameters():
        parameter.zero_()
    assert task.training
    assert all(torch.equal(weight, before[name]) for name, weight in task.state_dict().items())


def test_what_is_no_member_is_refused():
    with pytest.raises(ValueError, match=r"A member of this search space has .*; found '5-64-4bit'\. The nearest"):
        extract(make_task(), SubnetConfig.uniform(5, 64, 4))
