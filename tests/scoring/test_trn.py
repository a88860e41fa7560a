"""NIST files: what is written is read back, and what sclite would misread is refused."""

import re

import pytest

from allinone.scoring import read_trn, write_trn


def test_read_inverts_write(tmp_path):
    utterances = [("020001P2", "you couldn't (really) pilot"), ("a-1_b.c", ""), ("x", "é ü")]
    write_trn(tmp_path / "ref.trn", utterances)
    assert read_trn(tmp_path / "ref.trn") == utterances


def test_lines_end_in_the_id_and_hold_single_spaces(tmp_path):
    write_trn(tmp_path / "ref.trn", [("u1", " a\n b "), ("u2", "")])
    assert (tmp_path / "ref.trn").read_text() == "a b (u1)\n(u2)\n"


def test_odd_ids_are_written_as_sclite_can_read_them_and_come_back(tmp_path):
    names = ["two words", "take (1)", "50%", "%20", "a/b\tc", "Übung", "-"]
    utterances = [(name, f"text (of) {number}") for number, name in enumerate(names)]
    write_trn(tmp_path / "ref.trn", utterances)
    assert read_trn(tmp_path / "ref.trn") == utterances
    assert (tmp_path / "ref.trn").read_text().startswith("text (of) 0 (two%20words)\ntext (of) 1 (take%20%281%29)\n")


def test_an_empty_id_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"requires ids that are unique and not empty, found ''; rename"):
        write_trn(tmp_path / "ref.trn", [("", "a")])


@pytest.mark.parametrize("mark", [";;", "**"])
def test_a_text_that_would_become_a_comment_is_refused(tmp_path, mark):
    with pytest.raises(
        ValueError, match=re.escape(f"do not begin with '{mark}' (a comment), found ' {mark} a' of 'u'; ")
    ):
        write_trn(tmp_path / "ref.trn", [("u", f" {mark} a")])


def test_an_id_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"found a second 'u'; rename the utterance"):
        write_trn(tmp_path / "ref.trn", [("u", "a"), ("u", "b")])


def test_comments_and_empty_lines_are_skipped_and_other_lines_refused(tmp_path):
    path = tmp_path / "ref.trn"
    path.write_text(";; a comment\n** information\n\na b (u1)\n")
    assert read_trn(path) == [("u1", "a b")]
    path.write_text("a b (u1)\nno id\n")
    with pytest.raises(ValueError, match=r"'text \(id\)', found 'no id' in line 2 of .*; correct the line"):
        read_trn(path)


def test_an_id_twice_is_not_read(tmp_path):
    path = tmp_path / "ref.trn"
    path.write_text("a (u1)\nb (u2)\nc (u1)\n")
    with pytest.raises(ValueError, match=r"requires each id once, found a second 'u1' in line 3 of .*; remove one"):
        read_trn(path)


def test_another_encoding_is_told_as_such(tmp_path):
    path = tmp_path / "ref.trn"
    path.write_bytes("é (u1)\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"requires text in UTF-8, found .*ref.trn in another encoding .*; convert it"):
        read_trn(path)


def test_files_of_other_machines_are_read(tmp_path):
    path = tmp_path / "ref.trn"
    path.write_bytes("\ufeffa\u2028b  (u1) \r\nc (u2)".encode())
    assert read_trn(path) == [("u1", "a\u2028b"), ("u2", "c")]
