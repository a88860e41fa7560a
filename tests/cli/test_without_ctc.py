"""Tests of networks without a CTC output: what every verb says to one that an attention decoder alone spells."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import TRAIN, Trained, export, train

WITHOUT = ("attention=decoder_tiny", "ctc=false", "objective.ctc_weight=0")


@pytest.fixture(scope="module")
def spelling(tmp_path_factory, corpus) -> Trained:
    """A run of `allinone train`, its validation included."""
    return train(tmp_path_factory.mktemp("spelling"), corpus, *WITHOUT)


@pytest.fixture(scope="module")
def exported_spelling(tmp_path_factory, spelling) -> Path:
    """The directory of its smallest member."""
    return export(tmp_path_factory.mktemp("exported_spelling") / "small", spelling)


@pytest.fixture
def recordings(corpus) -> list[Path]:
    return sorted((corpus.parent / "audio").glob("*.wav"))[:2]


def test_members_are_evaluated_greedily_unless_told_otherwise(call, here, spelling):
    arguments = ("evaluate", f"checkpoint={spelling.checkpoint}", "subnets=[largest,smallest]")
    for decoder in ((), ("decoder=attention_greedy",)):
        assert call(*arguments, *decoder, f"hydra.run.dir=run{len(decoder)}").code == 0
    greedy, named = (json.loads(Path(f"run{number}/results.json").read_text()) for number in (0, 1))
    assert greedy["decoder"]["kind"] == "Greedy"
    assert greedy["members"] == named["members"]
    said = call("report", "evaluation=run0", "baseline=run0", "samples=100")
    assert said.code == 0
    assert "ctc=false" in said.out


def test_an_exported_member_spells(call, here, exported_spelling, recordings):
    said = call("transcribe", f"model={exported_spelling}", "format=json", "--", *recordings)
    assert (said.code, said.err) == (0, "")
    for row in json.loads(said.out):
        assert all(scores.keys() == {"total", "attention"} for scores in row["scores"])


@pytest.mark.parametrize("decoder", ["joint", "attention_rescoring"])
def test_decoders_that_hear_a_ctc_output_are_refused_once(call, here, spelling, exported_spelling, recordings, decoder):
    message = "requires a network with a CTC output; found one without. Choose decoder=attention_greedy"
    for arguments in (("evaluate", f"checkpoint={spelling.checkpoint}"), ("transcribe", f"model={exported_spelling}")):
        files = () if arguments[0] == "evaluate" else ("--", *recordings)
        said = call(*arguments, f"decoder={decoder}", *files)
        assert (said.code, said.out) == (1, "")
        assert said.err.count(message) == 1


def test_a_format_that_has_none_of_it_is_refused(call, here, spelling):
    said = call("export", f"checkpoint={spelling.checkpoint}", "subnet=smallest", "output=x", "format=huggingface")
    assert said.code == 1
    assert not Path("x").exists()


def test_decoding_is_timed(call, here, spelling):
    arguments = ("bench", "decode", f"checkpoint={spelling.checkpoint}", "rounds=1", "utterances=4", "device=cpu")
    said = call(*arguments, "decoder=attention_greedy", "subnet=smallest", "format=json")
    assert [row["part"] for row in json.loads(said.out)] == ["encoder", "greedy", "attention_greedy"]


def test_sizes_leave_the_output_out(call, here):
    def rows(*arguments: str) -> list[dict[str, float]]:
        return json.loads(call("subnets", "experiment=tiny_synthetic", "format=json", *arguments).out)

    hybrid, alone = rows("attention=decoder_tiny"), rows("attention=decoder_tiny", "ctc=false")
    for with_ctc, without in zip(hybrid, alone, strict=True):
        assert with_ctc["bytes_stored"] - without["bytes_stored"] == 4 * 29 * (32 + 1)
    said = call("subnets", "experiment=tiny_synthetic", "ctc=false")
    assert said.code == 1
    assert "requires a CTC output or an attention decoder; found neither. Give ctc=true or attention=" in said.err


def test_the_doctor_looks_at_such_a_step(call, here):
    arguments = ("doctor", "experiment=tiny_synthetic", "device=cpu", "format=json", *WITHOUT)
    computed, memory = (row for row in json.loads(call(*arguments).out) if row["topic"].startswith("memory"))
    assert computed["fit"] == "yes"
    assert memory["fit"] in ("yes", "partly")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["ctc=false"], "requires a CTC output or an attention decoder; found neither"),
        (["ctc=false", "attention=decoder_tiny"], "requires ctc_weight=0 and intermediate=0; found ctc_weight=0.2"),
        ([*WITHOUT, "objective.intermediate=0.3"], "found ctc_weight=0 and intermediate=0.3"),
    ],
)
def test_what_cannot_be_learnt_is_told_before_any_data_are_read(call, here, settings, message):
    said = call(*TRAIN, "data.corpus.table=missing.tsv", *settings)
    assert said.code == 1
    assert message in said.err


def test_a_run_starts_from_a_network_with_other_outputs_and_says_so(call, here, corpus, hybrid, spelling):
    arguments = [*TRAIN, f"data.corpus.table={corpus}", f"data.cache={corpus.parent / 'cache'}", "trainer.max_steps=1"]
    without = call(*arguments, *WITHOUT, f"init={hybrid.checkpoint}")
    assert without.code == 0
    assert f"Took over the weights of {hybrid.checkpoint}; the CTC output is left out." in without.err
    both = call(*arguments, "attention=decoder_tiny", f"init={spelling.checkpoint}")
    assert both.code == 0
    assert f"Took over the weights of {spelling.checkpoint}; the CTC output begins anew." in both.err


def test_a_teacher_has_the_same_outputs(call, here, corpus, hybrid, spelling):
    arguments = [*TRAIN, f"data.corpus.table={corpus}", f"data.cache={corpus.parent / 'cache'}", *WITHOUT]
    twin = (*arguments, "sampler=fixed", "sampler.subnet=smallest")
    assert call(*twin, f"teacher={spelling.checkpoint}").code == 0
    said = call(*twin, f"teacher={hybrid.checkpoint}")
    assert said.code == 1
    found = f"found CTC and an attention decoder in {hybrid.checkpoint} and an attention decoder in the network"
    assert f"Teacher and network must have the same outputs; {found}. Give ctc=..." in said.err
