"""Corpora become rows: tables, folders and archives are read as described, and what is not so is refused or named."""

from pathlib import Path

import pytest

from allinone.data import FolderCorpus, TableCorpus
from allinone.data.report import MALFORMED, MISSING


def write(path: Path, text: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return str(path)


def test_a_table_gives_a_row_a_line_with_paths_relative_to_its_folder(tmp_path):
    table = write(tmp_path / "t.tsv", "text\taudio\tsplit\nHello you.\ta/1.wav\ttrain\n\nBye\t/far/2.mp3\tvalidation\n")
    first, second = TableCorpus(table).rows()
    assert (first.id, first.audio, first.text, first.split) == (
        "a/1",
        str(tmp_path / "a/1.wav"),
        "Hello you.",
        "train",
    )
    assert (second.id, second.audio, second.split) == ("/far/2", "/far/2.mp3", "dev")
    assert first.problem is None


def test_a_corpus_is_called_by_its_file_unless_named():
    assert TableCorpus("a/lines.tsv").name == "lines"
    assert TableCorpus("a/lines.tsv", name="My speech").name == "My speech"
    assert FolderCorpus("b/speech").name == "speech"


def test_common_names_of_columns_byte_order_marks_and_windows_lines_are_understood(tmp_path):
    table = write(tmp_path / "t.tsv", "\ufeffclient_id\tPath\tSentence\r\nann\t1.mp3\tYes\r\n")
    (row,) = TableCorpus(table, audio=str(tmp_path)).rows()
    assert (row.id, row.audio, row.text, row.speaker, row.split) == ("1", str(tmp_path / "1.mp3"), "Yes", "ann", "")


def test_a_table_of_ids_finds_recordings_of_any_suffix(tmp_path):
    write(tmp_path / "sub" / "b.flac")
    write(tmp_path / "a.wav")
    table = write(tmp_path / "t.tsv", "id\ttext\na\tone\nsub/b\ttwo\nc\tthree\n")
    paths = [row.audio for row in TableCorpus(table).rows()]
    assert paths == [str(tmp_path / "a.wav"), str(tmp_path / "sub" / "b.flac"), str(tmp_path / "c")]


def test_lines_that_cannot_be_understood_become_problems_and_stop_nothing(tmp_path):
    table = write(tmp_path / "t.tsv", "id\taudio\tsplit\ttext\nx\n\t\ttrain\thello\na\ta.wav\ttrain\tgood\n")
    short, nameless, good = TableCorpus(table).rows()
    assert short.problem == (MALFORMED, "line 2 has 1 columns, the header 4")
    assert nameless.problem == (MALFORMED, "line 3 names no recording")
    assert nameless.id == "line 3"
    assert good.problem is None


@pytest.mark.parametrize("header", ["id\twords", "text\tspeaker", "id,text", ""])
def test_a_header_without_the_needed_columns_is_refused(tmp_path, header):
    table = write(tmp_path / "t.tsv", f"{header}\na\tb\n")
    with pytest.raises(ValueError, match=r"requires a header with a 'text' column and .*, found .*; add the header"):
        TableCorpus(table).rows()


def test_missing_files_and_folders_are_refused_by_their_path(tmp_path):
    with pytest.raises(ValueError, match=r"requires a table .*, found no file at .*none.tsv; .*corpus.table=PATH"):
        TableCorpus(str(tmp_path / "none.tsv")).rows()
    table = write(tmp_path / "t.tsv", "id\ttext\na\tone\n")
    with pytest.raises(ValueError, match=r"requires an archive .*, found no file at .*none.tar; .*corpus.archive=PATH"):
        TableCorpus(table, archive=str(tmp_path / "none.tar")).rows()
    with pytest.raises(ValueError, match=r"requires the folder of its recordings, found none at .*gone; correct"):
        TableCorpus(table, audio=str(tmp_path / "gone")).rows()
    with pytest.raises(ValueError, match=r"requires its folder, found none at .*gone; correct corpus.folder"):
        FolderCorpus(str(tmp_path / "gone")).rows()
    with pytest.raises(ValueError, match=r"requires recordings \(.wav, .*\) with .txt files .*, found none below"):
        FolderCorpus(str(tmp_path)).rows()


def test_parts_of_a_test_set_keep_their_names_in_a_table(tmp_path):
    table = write(tmp_path / "t.tsv", "audio\tsplit\ttext\n1.wav\tTest_Noisy\tone\n2.wav\teval\ttwo\n")
    assert [row.split for row in TableCorpus(table).rows()] == ["test-noisy", "test"]


def test_a_recording_at_the_top_of_a_folder_is_in_no_split_whatever_its_name(tmp_path):
    for name in ("train-1", "test-1"):
        write(tmp_path / f"{name}.wav")
    assert {row.split for row in FolderCorpus(str(tmp_path)).rows()} == {""}


def test_an_unknown_split_is_refused_with_its_line(tmp_path):
    table = write(tmp_path / "t.tsv", "id\tsplit\ttext\na\ttrain-clean\tone\nb\tother\ttwo\n")
    with pytest.raises(ValueError, match=r"one of train, dev, test, found 'other' \(.*t.tsv, line 3\); correct it, or"):
        TableCorpus(table).rows()


def test_a_table_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "t.tsv").write_bytes("id\ttext\na\tcafé\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"requires UTF-8, found .*t.tsv with .*; convert it"):
        TableCorpus(str(tmp_path / "t.tsv")).rows()


def test_a_folder_gives_each_recording_the_text_beside_it(tmp_path):
    write(tmp_path / "b" / "2.FLAC")
    write(tmp_path / "b" / "2.txt", "two\n words \n")
    write(tmp_path / "1.wav")
    write(tmp_path / "1.txt", "one")
    write(tmp_path / "silent.wav")
    write(tmp_path / ".cache" / "hidden.wav")
    one, two, silent = FolderCorpus(str(tmp_path)).rows()
    assert [(row.id, row.text, row.split) for row in (one, two)] == [("1", "one", ""), ("b/2", "two words", "")]
    assert two.audio == str(tmp_path / "b" / "2.FLAC")
    assert silent.problem == (MISSING, "no transcript silent.txt beside it")


def test_folders_named_by_split_are_the_splits_if_all_are(tmp_path):
    for name in ("train-clean-100/1", "dev_other/2", "test/3"):
        write(tmp_path / f"{name}.wav")
    assert [row.split for row in FolderCorpus(str(tmp_path)).rows()] == ["dev-other", "test", "train"]
    write(tmp_path / "more" / "4.wav")
    assert {row.split for row in FolderCorpus(str(tmp_path)).rows()} == {""}


def test_transcripts_may_stand_in_one_file_for_a_folder_as_librispeech_keeps_them(tmp_path):
    for name in ("84-1-0000", "84-1-0001"):
        write(tmp_path / "84" / "1" / f"{name}.flac")
    write(tmp_path / "84" / "1" / "84-1.trans.txt", "84-1-0000 GO NOW\n84-1-0001 STAY HERE\n")
    rows = FolderCorpus(str(tmp_path)).rows()
    assert [(row.id, row.text) for row in rows] == [("84/1/84-1-0000", "GO NOW"), ("84/1/84-1-0001", "STAY HERE")]


def test_a_corpus_is_a_value():
    assert TableCorpus("a.tsv") == TableCorpus("a.tsv")
    assert len({FolderCorpus("a"), FolderCorpus("a"), FolderCorpus("b")}) == 2
