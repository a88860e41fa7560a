"""The speech task: what members share, what they do not, and what is refused."""

import pytest
import torch

from allinone.layers import LogMelSettings, SpecAugment
from allinone.quantization import AbsMax, Lsq, PerGroup
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks import build_network
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer
from allinone.training import Objective
from tests.laws.examples import DECODER, make_batch, make_layout, make_task


def test_outputs_are_log_probabilities_of_the_announced_frames():
    task, batch = make_task().eval(), make_batch()
    output = task(batch.waveforms, batch.lengths, task.space.smallest)
    assert output.log_probs.shape == (3, task.frames(int(batch.lengths.max())), task.tokenizer.vocab_size)
    torch.testing.assert_close(output.log_probs.exp().sum(-1), torch.ones(output.log_probs.shape[:2]))
    assert output.lengths.tolist() == [task.frames(length) for length in batch.lengths.tolist()]


@pytest.mark.parametrize("front_end_bits", [None, 8, 32])
def test_what_is_shared_is_computed_once_for_all_members(front_end_bits):
    task, batch = make_task(bits=(2, 8), front_end_bits=front_end_bits).eval(), make_batch()
    with torch.no_grad():
        shared = task.shared(batch.waveforms, batch.lengths)
        assert shared.x.shape[-1] == (80 if front_end_bits is None else 16)
        for member in (task.space.largest, task.space.smallest):
            alone = task(batch.waveforms, batch.lengths, member)
            assert torch.equal(task.recognise(shared, member).required_log_probs(), alone.log_probs)


def test_features_are_masked_only_where_seeds_are_given():
    task, batch = make_task(augment=SpecAugment(), front_end_bits=None), make_batch()
    plain = task.shared(batch.waveforms, batch.lengths).x
    masked = task.shared(batch.waveforms, batch.lengths, batch.seeds).x
    assert not torch.equal(plain, masked)
    assert torch.equal(masked, torch.where(masked == 0, 0, plain))


def test_initialising_scales_fits_them_to_new_weights():
    task = make_task(bits=(2, 32))
    member, full = SubnetConfig.uniform(2, 12, 2), SubnetConfig.uniform(2, 12, 32)
    with torch.no_grad():
        for parameter in task.encoder.layers.parameters():
            parameter.mul_(8)
    name = "encoder.layers.0.attention.query.weight"

    def error() -> float:
        weight, rounded = task.weights(full)[name], task.weights(member)[name]
        return float((rounded.dequantise() - weight).square().sum())  # pyright: ignore

    before = error()
    task.initialise_scales()
    assert error() < before


def test_a_space_that_does_not_fit_the_network_is_refused():
    def build(space=SearchSpace((2,), (24,)), features=LogMelSettings(), attention=None):  # noqa: B008
        parts = {"attention": attention, "layout": make_layout(), "tokenizer": CharTokenizer(), "quantizer": Lsq()}
        return SpeechTask(space=space, features=features, **parts)

    build()
    with pytest.raises(ValueError, match=r"of 3 layers and width 24; found depths up to 4 and widths up to 24. Lower"):
        build(SearchSpace((4,), (24,)))
    with pytest.raises(ValueError, match="found depths up to 2 and widths up to 48"):
        build(SearchSpace((2,), (48,)))
    with pytest.raises(ValueError, match=r"of 2 attention heads; found up to 4\. Lower them, or take a larger network"):
        build(SearchSpace((2,), (24,), heads=(1, 4)))
    decoders = SearchSpace((2,), (24,), decoder=SearchSpace((1,), (36,)))
    with pytest.raises(ValueError, match=r"a network with an attention decoder; found none\. Choose one, such"):
        build(decoders)
    with pytest.raises(ValueError, match=r"of 2 layers and width 24; found depths up to 1 and widths up to 36\. L"):
        build(decoders, attention=DECODER)
    attentive = SearchSpace((2,), (24,), decoder=SearchSpace((1,), (24,), heads=(1, DECODER.num_heads + 1)))
    with pytest.raises(ValueError, match=r"decoder's .* the decoder of 2 attention heads; found up to 3\. .* decoder"):
        build(attentive, attention=DECODER)
    with pytest.raises(ValueError, match=r"takes 80 feature bands; found features of 40. Make them equal"):
        build(features=LogMelSettings(bands=40))


@pytest.mark.parametrize(
    ("size", "bits", "changes", "found"),
    [
        (16, (4, 32), {}, "24 inputs of encoder.layers.0.feed_forward_1.down.weight"),  # in a wide member
        (8, (4, 32), {}, "12 inputs of encoder.layers.0.feed_forward_1.down.weight"),  # in a narrow one
        (4, (4, 32), {"heads": (1, 2), "head_dim": 6}, "6 inputs of encoder.layers.0.attention.output.weight"),
        (4, (4, 32), {"front_end_bits": 8, "subsampling_channels": 2}, "38 inputs of encoder.front_end.linear.weight"),
        (4, (32,), {}, None),  # no few bits
        (4, (4, 32), {"subsampling_channels": 2}, None),  # none in the front end
        (4, (4, 32), {"attention": DECODER}, None),  # none in a decoder that is no part of the space
    ],
)
def test_groups_that_do_not_divide_the_inputs_of_every_member_are_refused(size, bits, changes, found):
    for kind in (Lsq, AbsMax):
        if found is None:
            make_task(bits, kind(PerGroup(size)), **changes)
            continue
        message = (
            rf"Groups of {size} inputs must divide .*; found {found}\. Choose another size \(.* do: (4, )?2, 1\), or"
        )
        with pytest.raises(ValueError, match=message):
            make_task(bits, kind(PerGroup(size)), **changes)


def test_groups_that_do_not_divide_the_inputs_of_a_narrow_decoder_are_refused():
    parts = {"layout": make_layout(), "tokenizer": CharTokenizer(), "features": LogMelSettings(), "attention": DECODER}
    space = SearchSpace((2,), (24,), (4,), decoder=SearchSpace((1,), (10, 24), (4,)))
    message = r"found 10 inputs of decoder\.layers\.0\.feed_forward\.down\.weight\. Choose another size \(.*: 2, 1\)"
    with pytest.raises(ValueError, match=message):
        SpeechTask(space=space, quantizer=Lsq(PerGroup(4)), **parts)


def test_mixed_precision_multiplies_in_sixteen_bits_and_keeps_features_and_losses_in_32():
    task, batch = make_task(bits=(4, 8)).train(), make_batch()
    layers, seen = task.encoder.layers, []
    for name, module in layers.named_modules():
        if name.endswith("attention.query"):
            module.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        shared = task.shared(1000 * batch.waveforms, batch.lengths)
        features, _ = task.features(1000 * batch.waveforms, batch.lengths)
        output = task.learn(shared, task.space.largest, batch.labels, batch.label_lengths)
        losses = Objective().losses(output, batch.labels, batch.label_lengths)
    losses.sum().backward()
    assert seen == [torch.bfloat16] * len(layers)
    assert torch.equal(features, task.features(1000 * batch.waveforms, batch.lengths)[0])
    assert output.log_probs is not None
    assert output.log_probs.dtype == losses.dtype == torch.float32
    assert {parameter.grad.dtype for parameter in task.parameters() if parameter.grad is not None} == {torch.float32}
    exact = task(1000 * batch.waveforms, batch.lengths, task.space.largest).log_probs
    assert 0 < (output.log_probs - exact).abs().max() < 0.1


def test_a_network_without_a_ctc_output_has_none_and_needs_an_attention_decoder():
    task, batch = make_task(attention=DECODER, ctc=False).eval(), make_batch()
    assert task.head is None
    assert not any(name.startswith("head") for name in task.state_dict())
    heard = task(batch.waveforms, batch.lengths, task.space.smallest)
    assert heard.log_probs is None
    assert heard.keep(torch.tensor([1])).log_probs is None
    message = r"A network requires a CTC output or an attention decoder; found neither\. Give ctc=true or attention="
    with pytest.raises(ValueError, match=message):
        make_task(ctc=False)
    with pytest.raises(ValueError, match=message):
        build_network(task.layout, LogMelSettings(), task.tokenizer, task.space.largest, ctc=False)
