"""Tests of quantisation after training: what is rounded, and by which scales."""

from typing import cast

import pytest
import torch
from torch import Tensor

from allinone.quantization import (
    AbsMax,
    AbsMean,
    DynamicActivations,
    Lsq,
    PerChannel,
    PerGroup,
    Quantised,
    StaticActivations,
    least_squares_scale,
    quantise,
)
from allinone.sparsity import Blocks, NOfM
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.input_ranges import calibrate_inputs
from allinone.tasks.speech import SpeechTask
from allinone.training.checkpoints import about_network, write_untrained
from allinone.training.post_training import calibrate, heard_inputs, quantised_member, space_of
from allinone.training.start import load_task
from tests.laws.examples import DECODER, dense, make_batch, make_task, perturb

DOWN = "encoder.layers.0.feed_forward_1.down.weight"


def outputs(task: SpeechTask, name: str) -> Tensor:
    batch = make_batch()
    with torch.no_grad():
        said = task.eval()(batch.waveforms, batch.lengths, SubnetConfig.parse(name)).log_probs
    return cast(Tensor, said)


def test_at_full_precision_the_member_is_the_supernets():
    source = perturb(make_task()).eval()
    for name in ("3-24-32bit", "2-12-32bit"):
        task = quantised_member(source, SubnetConfig.parse(name), 32, AbsMax())
        assert [member.name for member in task.space.uniform_members()] == [name]
        assert torch.equal(outputs(task, name), outputs(source, name))


@pytest.mark.parametrize("quantizer", [AbsMax(), AbsMax(PerGroup(4)), AbsMean(), Lsq(), Lsq(PerGroup(4))], ids=str)
def test_weights_are_those_that_the_quantiser_makes_of_the_members_own(quantizer):
    source = perturb(make_task()).eval()
    member = SubnetConfig.parse("2-12-8bit")
    task = quantised_member(source, member, 4, quantizer)
    assert task.space.largest.name == "2-12-4bit"
    own = cast(Tensor, source.weights(member.with_bits(32))[DOWN])
    rows = quantizer.initial_log_scales(own, (4,))
    expected = quantizer.quantise(own, None if rows is None else rows[0], 4)
    found = cast(Quantised, task.weights(task.space.largest)[DOWN])
    assert torch.equal(found.integers, expected.integers)
    torch.testing.assert_close(found.scale, expected.scale)


@pytest.mark.parametrize("activations", [DynamicActivations(), StaticActivations()], ids=lambda way: type(way).__name__)
def test_inputs_are_rounded_as_those_of_the_source_are(activations):
    source = perturb(make_task(quantizer=AbsMax(), activations=activations, bits=(4, 8))).eval()
    task = quantised_member(source, SubnetConfig.parse("3-24-8bit"), 4, AbsMax())
    assert torch.equal(outputs(task, "3-24-4bit"), outputs(source, "3-24-4bit"))
    plain = quantised_member(perturb(make_task(quantizer=AbsMax(), bits=(4, 8))), task.space.largest, 4, AbsMax())
    assert not torch.equal(outputs(plain, "3-24-4bit"), outputs(task, "3-24-4bit"))


def test_scales_of_inputs_that_the_source_lacks_are_yet_to_be_heard():
    source = perturb(make_task(quantizer=AbsMax(), activations=StaticActivations(), bits=(32,))).eval()
    task = quantised_member(source, source.space.largest, 4, AbsMax())
    assert all(elastic.inputs.unknown for name, elastic in task.parts() if ".layers." in name)
    calibrate_inputs(task, [make_batch()])
    assert outputs(task, "3-24-4bit").isfinite().all()


def test_a_decoder_is_rounded_if_the_space_has_decoders_and_stays_whole_if_not():
    name, member = "decoder.layers.0.feed_forward.up.weight", "3-24-8bit"
    source = perturb(make_task(attention=DECODER)).eval()
    whole = quantised_member(source, SubnetConfig.parse(member), 4, AbsMax())
    assert isinstance(whole.weights(whole.space.largest)[name], Tensor)
    decoders = SearchSpace((1, 2), (24,), (8,))
    source = SpeechTask(
        layout=source.layout,
        space=SearchSpace((3,), (24,), (8,), decoder=decoders),
        tokenizer=source.tokenizer,
        quantizer=AbsMax(),
        features=source.features.settings,
        attention=DECODER,
    )
    task = quantised_member(source.eval(), SubnetConfig.parse(f"{member}_1-24-8bit"), 2, AbsMax())
    assert task.space.largest.name == "3-24-2bit_1-24-2bit"
    assert cast(Quantised, task.weights(task.space.largest)[name]).bits == 2


@pytest.mark.parametrize(("zeros", "pattern"), [("2of4", NOfM(4)), ("s50", Blocks(4, 1))])
def test_zeros_stay_where_they_are_and_do_not_move_scales(zeros, pattern):
    source = perturb(make_task(sparsities=(0.5,), pattern=pattern)).eval()
    source.initialise_scales()  # levels of the weights as they are
    member = SubnetConfig.parse(f"3-24-8bit-{zeros}")
    task = quantised_member(source, member, 4, AbsMax())
    sparse = task.space.parse(f"3-24-4bit-{zeros}")
    before = cast(Tensor, source.weights(member.with_bits(32))[DOWN])
    found = cast(Quantised, task.weights(sparse)[DOWN])
    assert (before == 0).float().mean() == 0.5
    assert not found.integers[before == 0].any()
    torch.testing.assert_close(found.scale, before.abs().amax(1, keepdim=True) / 7)
    assert task.cost(sparse).bytes_stored < task.cost(task.space.largest).bytes_stored


def test_groups_and_heads_of_a_member_are_kept():
    member = SubnetConfig.parse("2-12-8bit-g4-h2")
    source = make_task(scale_groups=(4,), heads=(1, 2), quantizer=AbsMax())
    assert space_of(member.with_bits(2), source.space).largest.name == "2-12-2bit-g4-h2"


@pytest.mark.parametrize("granularity", [PerChannel(), PerGroup(4)], ids=str)
@pytest.mark.parametrize("bits", [2, 4])
def test_calibrated_scales_have_less_error_of_outputs_than_others(granularity, bits):
    """By the measure that they are made for, the diagonal of the Hessian, in every linear map."""
    source = perturb(make_task()).eval()
    member = SubnetConfig.parse("2-12-32bit")
    squares = heard_inputs(source, member, [make_batch()])
    task, plain = (quantised_member(source, member, bits, Lsq(granularity)) for _ in range(2))
    calibrate(task, squares)
    own, calibrated, least = (
        source.weights(member),
        task.weights(task.space.largest),
        plain.weights(plain.space.largest),
    )
    rounded = {
        name for name, weight in calibrated.items() if isinstance(weight, Quantised) and weight.integers.dim() == 2
    }
    assert rounded <= squares.keys()
    moved = 0
    for name in rounded:
        errors = [
            (dense(some)[name] - cast(Tensor, own[name])).square() @ squares[name] for some in (calibrated, least)
        ]
        assert (errors[0] <= errors[1] * 1.02).all()
        moved += int((errors[0] < errors[1] * 0.99).any())
    assert moved > len(rounded) / 2


def test_inputs_are_those_of_the_utterances_without_padding():
    source = perturb(make_task()).eval()
    member = source.space.largest
    together, apart = make_batch(), [make_batch().select([row]) for row in range(3)]
    found, expected = (heard_inputs(source, member, batches) for batches in ([together], apart))
    assert found.keys() == expected.keys()
    for name, squares in found.items():
        torch.testing.assert_close(squares, expected[name])


def test_weighed_least_squares_are_the_best_of_fifty_fractions_of_the_largest_weight():
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    importance = torch.tensor([1.0, 4, 9, 16, 25, 36, 49, 64])
    largest = AbsMax().quantise(weight, None, 2).scale

    def error(scale: Tensor) -> Tensor:
        return (quantise(weight, scale, 2).dequantise() - weight).square() @ importance

    least = torch.stack([error(fraction * largest) for fraction in torch.linspace(0.1, 1.0, 50)]).amin(0)
    torch.testing.assert_close(error(least_squares_scale(weight, 2, PerChannel(), importance)), least)
    alike = least_squares_scale(weight, 2, PerChannel(), torch.full((8,), 4.0))
    assert torch.equal(alike, least_squares_scale(weight, 2, PerChannel()))


def test_no_utterance_and_no_kept_scales_and_layers_that_differ_are_refused():
    source = make_task(layerwise=True).eval()
    member = source.space.smallest
    with pytest.raises(ValueError, match=r"Calibration requires utterances of the training split; found none. Give"):
        heard_inputs(source, member, [])
    with pytest.raises(ValueError, match=r"requires a quantiser that keeps its scales; found AbsMax, which takes them"):
        calibrate(quantised_member(source, member, 4, AbsMax()), {})
    with pytest.raises(ValueError, match=r"requires layers that agree; found 1-12-8bit.1-24-8bit. Choose one whose"):
        quantised_member(source, SubnetConfig.parse("1-12-8bit+1-24-8bit"), 4, AbsMax())
    with pytest.raises(ValueError, match=r"Bits must be one of 2, 3, 4, 5, 6, 7, 8, 32; found 1"):
        quantised_member(source, member, 1, AbsMax())


def test_a_written_network_is_read_back_bit_for_bit(tmp_path):
    task = quantised_member(perturb(make_task()).eval(), SubnetConfig.parse("2-12-8bit"), 4, Lsq())
    with torch.no_grad():
        task.get_parameter("head.bias").copy_(task.get_parameter("head.bias").half())
    path = tmp_path / "model.ckpt"
    write_untrained({**about_network(task), "origin": {}}, task.state_dict(), path)
    again, about = load_task(path)
    assert about["origin"] == {}
    assert again.space == task.space
    for name, weight in task.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight)
    stored = torch.load(path, weights_only=True)["state_dict"]
    assert (stored["task.head.bias"].dtype, stored["task.head.weight"].dtype) == (torch.float16, torch.float32)
