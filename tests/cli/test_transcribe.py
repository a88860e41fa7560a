"""Tests of `allinone transcribe`."""

import json
import subprocess
import sys

import pytest

import allinone


@pytest.fixture
def recordings(corpus):
    return sorted((corpus.parent / "audio").glob("*.wav"))[:3]


def test_one_recording_is_its_text_and_nothing_else(call, here, exported, recordings):
    said = call("transcribe", f"model={exported}", f"audio={recordings[0]}")
    assert (said.code, said.err) == (0, "")
    assert said.out == allinone.load(exported).transcribe_file(recordings[0]) + "\n"
    assert not list(here.iterdir())


def test_many_recordings_have_a_line_each(call, here, exported, recordings):
    said = call("transcribe", f"model={exported}", f"audio=[{recordings[0]}]", "--", *recordings[1:])
    assert said.code == 0
    assert [line.split("\t")[0] for line in said.out.splitlines()] == [str(path) for path in recordings]


def test_one_bad_recording_spoils_only_the_exit_status(call, here, exported, recordings):
    (here / "bad one, really.wav").write_text("no audio")
    said = call(
        "transcribe", f"model={exported}", "--", recordings[0], "bad one, really.wav", "gone.wav", recordings[1]
    )
    assert said.code == 1
    assert len(said.out.splitlines()) == 2
    assert "bad one, really.wav" in said.err
    assert "found none at gone.wav" in said.err
    assert "2 of 4 recordings could not be transcribed." in said.err


def test_references_are_compared_word_by_word(call, here, exported, recordings, corpus):
    said = call("transcribe", f"model={exported}", f"references={corpus}", "--", *recordings)
    assert said.code == 0
    lines = corpus.read_text().splitlines()
    text = next(line.split("\t")[-1] for line in lines if line.startswith(recordings[0].stem))
    assert f"  said   {text.split()[0]}" in said.out
    assert "3 recordings: WER " in said.out
    document = json.loads(
        call("transcribe", f"model={exported}", f"references={corpus}", "format=json", "--", *recordings).out
    )
    errors = sum(row[kind] for row in document for kind in ("substitutions", "deletions", "insertions"))
    assert f"WER {100 * errors / sum(row['words'] for row in document):.1f} %" in said.out.splitlines()[-1]


def test_a_recording_without_a_reference_is_transcribed_and_told(call, here, exported, recordings):
    (here / "texts.tsv").write_text(f"id\ttext\n{recordings[0].stem}\tHello, you!\n")
    said = call("transcribe", f"model={exported}", "references=texts.tsv", "format=json", "--", *recordings[:2])
    first, second = json.loads(said.out)
    assert first["reference"] == "hello you"
    assert "reference" not in second
    assert "no line of id" in said.err


def test_json_is_all_there_is_on_standard_output(call, here, exported, recordings):
    said = call("transcribe", f"model={exported}", "format=json", "--", recordings[0], "gone.wav")
    assert said.code == 1
    (row,) = json.loads(said.out)
    assert set(row) == {"audio", "text", "scores"}
    (scores,) = row["scores"]  # of its only window
    assert scores["total"] == scores["ctc"] < 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Transcribing requires recordings; found none. Add audio=FILE, or paths after --."),
        (["audio=a.wav", "format=table"], "format must be one of text, json; found 'table'"),
        (["audio=a.wav", "references=headless.tsv"], "references requires a table with the columns id and text"),
    ],
)
def test_what_cannot_be_is_refused(call, here, exported, arguments, message):
    (here / "headless.tsv").write_text("a\tb\n")
    said = call("transcribe", f"model={exported}", *arguments)
    assert (said.code, said.out) == (1, "")
    assert message in said.err


def test_a_folder_that_is_no_member_is_refused(call, here):
    said = call("transcribe", f"model={here}", "audio=a.wav")
    assert (said.code, said.out) == (1, "")
    assert str(here) in said.err


def test_the_command_runs_as_a_process_without_supernet_or_trainer(exported, recordings, tmp_path):
    program = (
        "import sys; from allinone.cli.main import main; code = main(sys.argv[1:]); "
        "assert not {'lightning', 'lhotse', 'allinone.layers.elastic'} & set(sys.modules); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "transcribe", f"model={exported}", "--", recordings[0]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
