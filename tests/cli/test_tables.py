"""Tests of tables and documents on standard output."""

import json

import pytest

from allinone.cli.tables import NAME, STORED, WIDE, Column, check_format, console, show_json, show_table


def test_a_value_is_written_in_its_unit():
    assert STORED.write({"bytes_stored": 12_345_678}) == "12.35"
    assert Column("errors", "errors").write({"errors": 12}) == "12"


def test_numbers_stand_right_and_names_left(capsys):
    show_table((NAME, STORED), [{"name": "a", "bytes_stored": 1e6}, {"name": "bbb", "bytes_stored": 1e9}], "two rows")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    numbers = [line for line in lines if line.endswith(".00")]
    assert numbers == [" a           1.00", " bbb      1000.00"]
    assert lines[-1] == "two rows"


def test_without_a_terminal_tables_are_wide_unless_columns_says_otherwise(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width == WIDE
    monkeypatch.setenv("COLUMNS", "72")
    assert console().width == 72


def test_a_document_keeps_letters_of_every_alphabet(capsys):
    show_json([{"text": "größer"}])
    out = capsys.readouterr().out
    assert "größer" in out
    assert json.loads(out) == [{"text": "größer"}]


def test_only_known_formats_are_taken():
    check_format("json")
    with pytest.raises(ValueError, match="format must be one of text, json; found 'table'"):
        check_format("table", ("text", "json"))
