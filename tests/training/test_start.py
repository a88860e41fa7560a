"""Where training starts from: whose weights are taken over, and in which order."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from allinone.export import extract
from allinone.layers import LogMelSettings
from allinone.models.importance import head_norms, unit_norms
from allinone.quantization import Lsq, PerChannel, PerGroup, Quantised, Quantizer
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks import describe
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer
from allinone.training.start import load_task, refuse_other_heads, take_over_checkpoint, take_over_member
from tests.laws.examples import DECODER, learn, make_batch, make_layout, make_task, perturb

KIND: dict[str, Any] = {"bits": (8, 32), "num_heads": 4, "positions": "relative", "head_dim": 6}


def write(task: SpeechTask, path: Path) -> Path:
    """A checkpoint of a supernet."""
    kinds = ("layout", "space", "tokenizer", "quantizer", "attention", "ctc")
    parts = {part: describe(getattr(task, part)) for part in kinds}
    about = parts | {"features": describe(task.features.settings)}
    state = {f"task.{name}": weight for name, weight in task.state_dict().items()}
    torch.save({"allinone": about, "state_dict": state}, path)
    return path


def outputs(task: SpeechTask, member: str) -> Tensor:
    batch = make_batch()
    with torch.no_grad():
        return task.eval()(batch.waveforms, batch.lengths, SubnetConfig.parse(member)).log_probs


def is_sorted(scores: dict[str, Tensor]) -> bool:
    return all(bool((score.diff() <= 0).all()) for score in scores.values())


@pytest.mark.parametrize(("heads", "is_one_number"), [((), True), ((4,), True), ((2, 4), False)])
def test_heads_are_sorted_unless_those_of_smaller_members_are_trained_already(heads, is_one_number, tmp_path):
    source = perturb(make_task(**KIND, heads=heads))
    task = make_task(**KIND, heads=(1, 2, 4), seed=1)
    take_over_checkpoint(task, write(source, tmp_path / "source.ckpt"))
    assert is_sorted(head_norms(task)) == is_one_number
    assert not is_sorted(unit_norms(task))  # of more than one width
    torch.testing.assert_close(outputs(task, "3-24-32bit-h4"), outputs(source, "3-24-32bit"), rtol=0, atol=1e-5)


def test_a_smaller_network_begins_with_the_strongest_heads(tmp_path):
    source = perturb(make_task(**KIND))
    strongest = {name: score.topk(2).values for name, score in head_norms(source).items()}
    task = make_task(**KIND, heads=(1, 2), seed=1)
    take_over_checkpoint(task, write(source, tmp_path / "source.ckpt"))
    for name, norms in head_norms(task).items():
        torch.testing.assert_close(norms, strongest[name])


def test_the_same_supernet_is_taken_over_as_it_is(tmp_path):
    source = perturb(make_task(**KIND, heads=(4,)))
    task = make_task(**KIND, heads=(4,), seed=1)
    take_over_checkpoint(task, write(source, tmp_path / "source.ckpt"))
    assert all(torch.equal(weight, source.state_dict()[name]) for name, weight in task.state_dict().items())


def test_a_checkpoint_is_loaded_without_setting_scales_that_it_brings(tmp_path, monkeypatch):
    source = perturb(make_task(**KIND))
    monkeypatch.setattr(Lsq, "initial_log_scales", None)
    found, _ = load_task(write(source, tmp_path / "source.ckpt"))
    assert all(torch.equal(weight, source.state_dict()[name]) for name, weight in found.state_dict().items())


def test_a_supernet_without_first_scales_gets_them_with_the_weights_that_it_takes_over(tmp_path):
    path = write(perturb(make_task(**KIND)), tmp_path / "source.ckpt")
    tasks = [make_task(**KIND, heads=(2, 4), seed=1, first_scales=first_scales) for first_scales in (True, False)]
    scales = [weight for name, weight in tasks[1].named_parameters() if "log_scales" in name]
    assert scales
    assert not any(weight.any() for weight in scales)
    for task in tasks:
        take_over_checkpoint(task, path)
    states = [task.state_dict() for task in tasks]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(weight, states[1][name]) for name, weight in states[0].items())


def test_heads_of_another_size_are_refused_although_their_weights_have_the_same_shapes(tmp_path):
    source, task = make_task(num_heads=4), make_task(num_heads=2)
    shapes = [[weight.shape for weight in each.parameters()] for each in (source, task)]
    assert shapes[0] == shapes[1]
    message = (
        r"requires attention heads of its size; found encoder\.layers\.0\.attention .* 4 there and 8 here\. Choose"
    )
    with pytest.raises(ValueError, match=message):
        take_over_checkpoint(task, write(source, tmp_path / "source.ckpt"))
    with pytest.raises(ValueError, match=message):
        refuse_other_heads(task, source.build(source.space.largest), "a plain network")


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [(True, False, "the CTC output is left out"), (False, True, "the CTC output begins anew")],
)
def test_a_network_starts_from_one_with_or_without_a_ctc_output_and_says_so(before, now, change, tmp_path, caplog):
    source = perturb(make_task(bits=(8, 32), attention=DECODER, ctc=before, heads=(1, 2)))
    task = make_task(bits=(8, 32), attention=DECODER, ctc=now, heads=(1, 2), seed=1)
    path = write(source, tmp_path / "source.ckpt")
    assert load_task(path)[0].ctc == before
    with caplog.at_level("INFO"):
        take_over_checkpoint(task, path)
    assert f"Took over the weights of {path}; {change}." in caplog.text
    theirs = source.state_dict()
    for name, weight in task.state_dict().items():
        if "log_scales" not in name and not name.startswith("head."):
            assert torch.equal(weight, theirs[name]), name


def test_labels_belong_to_outputs(tmp_path):
    source = perturb(make_task(bits=(8, 32), attention=DECODER, ctc=False))
    path = write(source, tmp_path / "source.ckpt")
    others = CharTokenizer("ab")
    assert others != source.tokenizer
    with pytest.raises(ValueError, match=r"requires the labels it was trained with; found another tokenizer"):
        take_over_checkpoint(make_task(bits=(8, 32), attention=DECODER, ctc=False, tokenizer=others), path)
    alone = make_task(bits=(8, 32), tokenizer=others)
    take_over_checkpoint(alone, path, [make_batch()])
    member = SubnetConfig.parse("3-24-32bit")
    batch = make_batch()
    with torch.no_grad():
        found, expected = (task.eval()(batch.waveforms, batch.lengths, member).encoded for task in (alone, source))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_an_older_checkpoint_has_a_ctc_output(tmp_path):
    path = write(make_task(), tmp_path / "source.ckpt")
    checkpoint = torch.load(path)
    del checkpoint["allinone"]["ctc"]
    torch.save(checkpoint, path)
    assert load_task(path)[0].ctc


@pytest.mark.parametrize("name", ["dense", "hybrid"])
def test_committed_checkpoints_load(name):
    path = Path(__file__).parents[2] / "recipes" / "amazon_queen" / f"{name}.ckpt"
    task, _ = load_task(path)
    assert task.space.heads == ()
    assert outputs(task, task.space.largest.name).isfinite().all()


CHANNELS = Lsq(PerChannel())


def make_single(space: SearchSpace, quantizer: Quantizer = CHANNELS) -> SpeechTask:
    """A network of one size, its scales away from where they began."""
    torch.manual_seed(2)
    parts: dict[str, Any] = {"tokenizer": CharTokenizer(), "quantizer": quantizer, "features": LogMelSettings()}
    return perturb(SpeechTask(layout=make_layout(**SIZES), space=space, attention=DECODER, **parts))


SIZES: dict[str, Any] = {"num_heads": 4, "positions": "relative", "head_dim": 6}
ALONE = SearchSpace((3,), (24,), (8,), decoder=SearchSpace((2,), (24,), (8,)))
FAMILY = SearchSpace(
    (2, 3), (12, 24), (4, 8), heads=(2, 4), decoder=SearchSpace((1, 2), (12, 24), (4, 8), heads=(1, 2))
)


def start_from_member(source: SpeechTask, space: SearchSpace, known: SearchSpace | None) -> SpeechTask:
    largest = source.space.largest
    task = make_single(space, source.quantizer)
    take_over_member(task, extract(source, largest), source.weights(largest), known, "a member")
    return task.eval()


def test_a_family_that_starts_from_an_exported_member_of_one_size_has_its_units_and_heads_sorted_with_their_scales():
    source = make_single(ALONE).eval()
    task = start_from_member(source, FAMILY, ALONE)
    assert is_sorted(unit_norms(task))
    assert is_sorted(head_norms(task))
    batch = make_batch()
    with torch.no_grad():
        expected = learn(source, batch, source.space.largest)
        found = learn(task, batch, SubnetConfig.parse("3-24-8bit-h4_2-24-8bit-h2"))
    torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.spelt, expected.spelt, rtol=0, atol=1e-5)


@pytest.mark.parametrize("known", [None, FAMILY], ids=["unknown", "several sizes"])
def test_an_exported_member_keeps_the_order_that_its_family_was_trained_in(known):
    source = make_single(ALONE).eval()
    task = start_from_member(source, FAMILY, known)
    assert not is_sorted(unit_norms(task))
    assert torch.equal(
        task.get_parameter("encoder.layers.0.module.attention.query.weight"), as_float(source, "attention.query.weight")
    )


def test_an_exported_member_keeps_its_scales_of_groups_where_its_order_keeps_them():
    """Heads move with their groups; single units do not, and their groups get scales from the weights."""
    source = make_single(ALONE, Lsq(PerGroup(2))).eval()
    task = start_from_member(source, FAMILY, ALONE)
    assert is_sorted(unit_norms(task))
    assert is_sorted(head_norms(task))

    def scales(task: SpeechTask, name: str) -> Tensor:
        return task.get_parameter(f"encoder.layers.0.log_scales.{name}/weight")[-1]  # of 8 bits

    theirs, ours = (scales(each, "attention/output").view(16, 4, 3) for each in (source, task))
    assert not torch.allclose(ours, theirs)
    for head in ours.unbind(1):
        assert any(torch.allclose(head, other, rtol=0, atol=1e-6) for other in theirs.unbind(1))
    weight = task.get_parameter("encoder.layers.0.module.feed_forward_1.down.weight")
    expected = task.quantizer.initial_log_scales(weight, (8,))
    assert expected is not None
    assert torch.equal(scales(task, "feed_forward_1/down"), expected[0])


def as_float(source: SpeechTask, name: str) -> Tensor:
    weight = source.weights(source.space.largest)[f"encoder.layers.0.{name}"]
    assert isinstance(weight, Quantised)
    return weight.dequantise()
