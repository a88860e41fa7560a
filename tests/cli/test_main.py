"""Tests of the command: verbs, help, exit statuses, and what it imports."""

import subprocess
import sys

import pytest

from allinone.cli.main import VERBS


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_help_names_every_verb(call, arguments):
    said = call(*arguments)
    assert said.code == 0
    assert all(verb in said.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples(call, here, verb):
    said = call(verb, "--help")
    assert said.code == 0
    assert "examples:" in said.out
    assert f"allinone {verb} " in said.out
    assert not list(here.iterdir())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_its_configuration(call, here, verb):
    assert call(verb, "--cfg", "job").code == 0


def test_an_unknown_verb_is_refused_with_the_known_ones(call):
    said = call("trian")
    assert (said.code, said.out) == (2, "")
    assert "A verb is one of train, subnets, evaluate, export, transcribe, texts; found 'trian'" in said.err


def test_only_transcribe_takes_paths_after_two_dashes(call):
    said = call("subnets", "--", "a.wav")
    assert (said.code, said.out) == (2, "")
    assert "`allinone subnets` takes only key=value; found 'a.wav' after --" in said.err


def test_a_missing_argument_is_named(call, here):
    said = call("export", "checkpoint=a.ckpt", "output=b")
    assert (said.code, said.out) == (1, "")
    assert "`allinone export` requires subnet; found none. Add subnet=..." in said.err
    said = call("train", "data=table", "trainer.max_steps=1")
    assert said.code == 1
    assert "`allinone train` requires data.corpus.table; found none. Add data.corpus.table=..." in said.err


def test_an_unknown_setting_is_told_without_a_traceback(call, here):
    said = call("subnets", "space.colour=red")
    assert (said.code, said.out) == (1, "")
    assert "space.colour" in said.err
    assert "Traceback" not in said.err


def test_a_wrong_value_names_its_setting(call, here):
    said = call("subnets", "space.bits=[1]")
    assert said.code == 1
    assert "Bits must be one of 2, 3, 4, 5, 6, 7, 8, 32; found 1" in said.err
    assert "setting space" in said.err


def test_a_broken_file_of_ones_own_is_told_with_its_place(call, here):
    (here / "experiment").mkdir()
    (here / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 1\nseed: 2\n")
    said = call("subnets", f"--config-dir={here}", "experiment=mine")
    assert (said.code, said.out) == (1, "")
    assert "mine.yaml" in said.err
    assert "found duplicate key seed" in said.err
    assert "Traceback" not in said.err


def test_tracebacks_can_be_asked_for(call, here, monkeypatch):
    monkeypatch.setenv("ALLINONE_TRACEBACK", "1")
    assert "Traceback" in call("subnets", "space.bits=[1]").err


def test_help_imports_nothing_heavy():
    program = "import sys; from allinone.cli.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "hydra", "lightning", "lhotse", "rich"} & set(done.stderr.split())


@pytest.mark.parametrize("arguments", ["--help", "subnets --help"])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path, arguments):
    command = f"{sys.executable} -m allinone {arguments} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode in (0, 141)
    assert done.stderr == ""
