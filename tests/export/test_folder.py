"""Laws of complete folders: all of it or nothing, and nobody else's files are touched."""

import pytest

from allinone.export.folder import complete_folder


def never(folder):
    return False


def fail_after(write, target):
    """Writes into the temporary folder, or anywhere, and fails."""
    with complete_folder(target, replaceable=never) as partial:
        write(partial)
        raise ZeroDivisionError


def test_a_folder_appears_when_it_is_complete(tmp_path):
    target = tmp_path / "a" / "b"
    with complete_folder(target, replaceable=never) as partial:
        (partial / "file").write_text("x")
        assert not target.exists()
    assert (target / "file").read_text() == "x"
    assert [path.name for path in target.parent.iterdir()] == ["b"]


def test_an_empty_folder_is_taken(tmp_path):
    with complete_folder(tmp_path, replaceable=never) as partial:
        (partial / "file").write_text("x")
    assert (tmp_path / "file").read_text() == "x"


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fail_after(lambda partial: (partial / "file").write_text("x"), tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_what_others_put_beside_it(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fail_after(lambda _: (tmp_path / "a" / "other").write_text("y"), tmp_path / "a" / "b")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["other"]


def test_who_was_faster_is_not_replaced(tmp_path):
    target = tmp_path / "member"

    def race():
        with complete_folder(target, replaceable=never) as partial:
            (partial / "file").write_text("x")
            target.mkdir()
            (target / "theirs").write_text("y")

    with pytest.raises(ValueError, match=r"new or empty, .*; found theirs in .*\. Name another folder"):
        race()
    assert [path.name for path in tmp_path.iterdir()] == ["member"]
    assert (target / "theirs").read_text() == "y"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(ValueError, match=r"The output must be a folder; found a file at .*file\. Name another folder"),
        complete_folder(tmp_path / "file", replaceable=lambda _: True),
    ):
        pass
    assert (tmp_path / "file").read_text() == "x"


def test_a_replaced_folder_is_gone(tmp_path):
    target = tmp_path / "member"
    target.mkdir()
    (target / "old").write_text("x")
    with complete_folder(target, replaceable=lambda _: True) as partial:
        (partial / "new").write_text("y")
        assert (target / "old").exists()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["member"]
