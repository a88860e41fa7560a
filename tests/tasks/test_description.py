"""Bytes in descriptions are compressed, read as earlier versions wrote them, and refused where they are damaged."""

import base64

import pytest

from allinone.tasks.description import describe, restore


def test_bytes_come_back_as_they_were_and_repeated_ones_take_little_room():
    content = b"\x00\xff some bytes " * 1000
    assert restore(describe(content)) == content
    assert len(str(describe(content))) < len(content) / 10


def test_bytes_of_earlier_versions_are_read():
    assert restore({"base64": base64.b64encode(b"\x00\xff").decode()}) == b"\x00\xff"


def test_damaged_bytes_are_refused():
    with pytest.raises(
        ValueError, match=r"must hold bytes as zlib compresses them; found others \(.*\)\. Copy the file"
    ):
        restore({"zlib": base64.b64encode(b"others").decode()})
