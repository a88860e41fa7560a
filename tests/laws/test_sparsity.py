"""The laws of sparse members: as sparse as they say, nested, pruned before they are quantised, exported as they are."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from allinone.export import load, write_artefact
from allinone.export.extract import extract
from allinone.layers.elastic import Elastic
from allinone.quantization import AbsMax, Lsq, PerChannel, PerGroup, Quantised
from allinone.sparsity import Blocks, NOfM, Pattern, StraightThrough, Unstructured, kept_count
from allinone.subnet import LayerConfig, SubnetConfig
from allinone.tasks.speech import SpeechTask
from tests.laws.examples import PLAIN, learn, make_batch, make_task, perturb

PATTERNS: dict[str, tuple[Pattern, tuple[float, ...]]] = {
    "unstructured": (Unstructured(), (0.5, 0.7)),
    "8x1 blocks": (Blocks(4, 1), (0.5, 0.7)),
    "4x2 blocks": (Blocks(4, 2), (0.5, 0.75)),
    "N:4": (NOfM(4), (0.5, 0.75)),
}
KINDS = [pytest.param(pattern, sparsities, id=name) for name, (pattern, sparsities) in PATTERNS.items()]


def sparse_task(pattern: Pattern, sparsities: tuple[float, ...], **changes: Any) -> SpeechTask:
    task = perturb(make_task(pattern=pattern, sparsities=sparsities, **changes))
    for _, elastic in task.parts():  # of the weights as they are now
        elastic.initialise_levels()
    return task


def member(pattern: Pattern, sparsity: float, width: int = 24, bits: int = 4, depth: int = 3) -> SubnetConfig:
    return SubnetConfig((LayerConfig(width, bits, None, sparsity, pattern.group if sparsity else None),) * depth)


def integers(task: SpeechTask, subnet: SubnetConfig) -> dict[str, torch.Tensor]:
    """The integers of the linear maps of all layers."""
    return {
        name: weight.integers
        for name, weight in task.weights(subnet).items()
        if isinstance(weight, Quantised) and name in task.kept(replace(subnet))
    }


@pytest.mark.parametrize(("pattern", "sparsities"), KINDS)
def test_every_prefix_is_as_sparse_as_it_says(pattern, sparsities):
    task = sparse_task(pattern, sparsities, heads=(1, 2))
    for sparsity in sparsities:
        for width in (12, 24):
            for heads in (1, 2):
                layer = LayerConfig(width, 8, heads, sparsity, pattern.group)
                for name, kept in task.kept(SubnetConfig((layer,) * 2)).items():
                    count = int(kept.mask.sum())
                    units = kept.mask.numel() / (pattern.unit[0] * pattern.unit[1])
                    least = (1 - sparsity) * kept.mask.numel()
                    assert count <= least + 1e-9, name
                    if pattern.group is None:  # of each of two bands less than a block more is dropped
                        assert count > least - 2 * kept.mask.numel() / units
                    else:
                        assert count == least


@pytest.mark.parametrize(("pattern", "sparsities"), KINDS)
def test_what_is_kept_at_a_higher_sparsity_is_kept_at_a_lower_one_also_at_one_that_was_never_sampled(
    pattern, sparsities
):
    task = sparse_task(pattern, sparsities)
    steps = (0.5, 0.75) if pattern.group else (0.5, 0.55, 0.6, 0.705, 0.9)
    masks = [task.kept(member(pattern, sparsity)) for sparsity in steps]
    for less, more in pairwise(masks):
        assert less.keys() == more.keys()
        for name in less:
            assert not (more[name].mask & ~less[name].mask).any()
            assert more[name].mask.sum() < less[name].mask.sum()


@pytest.mark.parametrize(("pattern", "sparsities"), KINDS)
def test_a_pruned_weight_is_the_integer_zero_and_does_not_move_a_scale(pattern, sparsities):
    task = sparse_task(pattern, sparsities, bits=(2, 4, 8), quantizer=AbsMax(PerChannel()))
    subnet = member(pattern, sparsities[-1])
    weights, kept = task.weights(subnet), task.kept(subnet)
    assert kept
    for name, each in kept.items():
        weight = weights[name]
        assert isinstance(weight, Quantised)
        assert not weight.integers[~each.mask].any()
        layer, inner = name.removeprefix("encoder.").split(".", 2)[1:]
        elastic = task.encoder.layers[int(layer)]
        assert isinstance(elastic, Elastic)
        largest = (elastic.module.get_parameter(inner).detach().abs() * each.mask).amax(1, keepdim=True)
        torch.testing.assert_close(weight.scale, (largest / 7).clamp(min=1e-8))


@pytest.mark.parametrize("quantizer", [Lsq(PerChannel()), Lsq(PerGroup(4)), AbsMax(PerChannel())], ids=str)
@pytest.mark.parametrize(("pattern", "sparsities"), KINDS)
def test_an_extracted_sparse_member_equals_the_supernets(pattern, sparsities, quantizer):
    task, batch = sparse_task(pattern, sparsities, bits=(2, 4, 8, 32), quantizer=quantizer).eval(), make_batch()
    for bits in (2, 4, 8, 32):
        for width in (12, 24):
            subnet = member(pattern, sparsities[-1], width, bits, depth=2)
            with torch.no_grad():
                wanted = task(batch.waveforms, batch.lengths, subnet)
                found = extract(task, subnet)(batch.waveforms, batch.lengths)
            assert torch.equal(found.log_probs, wanted.log_probs)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8, 32])
@pytest.mark.parametrize(("pattern", "sparsities"), KINDS)
def test_the_exported_payload_is_what_was_counted_and_reads_back_the_same(pattern, sparsities, bits, tmp_path):
    task = sparse_task(pattern, sparsities, bits=(bits,))
    for sparsity in sparsities:
        subnet = task.space.parse(member(pattern, sparsity, 12, bits, depth=2).name)
        folder = write_artefact(task, subnet, tmp_path / str(sparsity))  # which compares size and outputs
        recogniser = load(folder)
        assert recogniser.manifest.bytes_stored == task.cost(subnet).bytes_stored
        dense = task.cost(SubnetConfig.uniform(2, 12, bits))
        if bits > 2:  # half of two bits is the bit of a mask
            assert recogniser.manifest.bytes_stored < dense.bytes_stored
        layers = recogniser.network.get_submodule("encoder.layers")
        zeros = sum(int((weight == 0).sum()) for weight in layers.state_dict().values())
        assert zeros >= sum(int((~kept.mask).sum()) for kept in task.kept(subnet).values())


def test_dropped_weights_learn_nothing_unless_they_are_told_to():
    batch = make_batch()
    gradients = []
    for straight_through in (None, StraightThrough(decay=0.0), StraightThrough(decay=0.5)):
        task = sparse_task(Blocks(4, 1), (0.5,), bits=(32,), straight_through=straight_through)
        subnet = member(Blocks(4, 1), 0.5, bits=32)
        output = learn(task, batch, subnet)
        PLAIN.losses(output, batch.labels, batch.label_lengths).sum().backward()
        elastic = task.encoder.layers[0]
        assert isinstance(elastic, Elastic)
        name = "feed_forward_1.up.weight"
        weight, dropped = elastic.module.get_parameter(name), ~elastic.kept(subnet.layers[0])[name].mask
        assert weight.grad is not None
        gradients.append((weight.grad, dropped, weight.detach()))
    (plain, dropped, weight), (passed, _, _), (decayed, _, _) = gradients
    assert not plain[dropped].any()
    assert passed[dropped].any()
    assert torch.equal(plain[~dropped], passed[~dropped])
    torch.testing.assert_close(decayed, passed + 0.5 * weight * dropped)


def test_the_dense_largest_member_has_no_masks():
    task = sparse_task(Blocks(4, 1), (0.5,))
    plain = perturb(make_task())
    assert not task.kept(task.space.largest)
    batch = make_batch()
    with torch.no_grad():
        assert torch.equal(
            task.eval()(batch.waveforms, batch.lengths, task.space.largest).log_probs,
            plain.eval()(batch.waveforms, batch.lengths, plain.space.largest).log_probs,
        )


def test_levels_take_a_byte_for_each_weight_of_a_linear_map():
    task = sparse_task(Unstructured(), (0.5,))
    for _, elastic in task.parts():
        levels = dict(elastic.levels.named_buffers())
        assert {name.replace("/", ".") for name in levels} == set(elastic.prunable)
        for name, level in levels.items():
            assert level.dtype == torch.uint8
            assert level.shape == elastic.module.get_parameter(name.replace("/", ".")).shape


def test_counts_are_those_of_the_bands():
    task = sparse_task(Blocks(4, 1), (0.7,))
    subnet = member(Blocks(4, 1), 0.7)
    for name, kept in task.kept(subnet).items():
        bands = [kept.mask.numel() // 2] * 2 if "feed_forward" in name else [kept.mask.numel()]
        assert int(kept.mask.sum()) == kept_count(Blocks(4, 1), bands, 140)
