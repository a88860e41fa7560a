"""Tests of run folders: new ones, and the newest that can be continued."""

import os
from pathlib import Path

import pytest

from allinone.cli.run_folder import new_folder, newest_unfinished, run_folder


def make_run(folder: Path, finished: bool = False, checkpoint: str = "step-000000002.ckpt") -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / checkpoint).touch()
    if finished:
        (folder / "results.json").touch()
    return folder


def test_the_newest_unfinished_run_is_continued(here):
    parent = Path("runs/recipe")
    make_run(parent / "2026-01-01_10-00-00")
    newest = make_run(parent / "2026-01-02_10-00-00")
    make_run(parent / "2026-01-03_10-00-00", finished=True)
    (parent / "2026-01-04_10-00-00").mkdir()
    assert newest_unfinished(parent) == newest
    assert run_folder("recipe", True) == str(newest)


def test_runs_of_a_sweep_are_continued_too(here):
    run = make_run(Path("runs/recipe/2026-01-02_10-00-00/1"))
    assert run_folder("recipe", True) == str(run)


def test_a_run_without_a_checkpoint_to_continue_from_is_none(here):
    make_run(Path("runs/recipe/2026-01-02_10-00-00"), checkpoint="best.ckpt")
    assert newest_unfinished(Path("runs/recipe")) is None
    assert run_folder("recipe", True) not in {"runs/recipe/2026-01-02_10-00-00", None}


def test_without_resume_every_run_has_a_folder_of_its_own(here):
    first = Path(run_folder("recipe", False))
    first.mkdir(parents=True)
    second = Path(run_folder("recipe", False))
    assert first != second
    assert first.parent == second.parent == Path("runs/recipe")
    assert sorted(map(os.fspath, (second, first))) == [str(first), str(second)]
    assert run_folder(None, False).startswith("runs/train/")


def test_folders_made_in_the_same_second_differ(here):
    folders = []
    for _ in range(3):
        folders.append(new_folder(Path("runs")))
        folders[-1].mkdir(parents=True)
    assert len(set(folders)) == 3


def test_a_named_run_must_have_checkpoints(here):
    run = make_run(Path("elsewhere"))
    assert run_folder("recipe", "elsewhere") == str(run)
    with pytest.raises(ValueError, match="resume requires the folder of a run with checkpoints; found none in 'gone'"):
        run_folder("recipe", "gone")
