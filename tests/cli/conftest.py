"""What the tests of the command line share: a way to call it in this process, and a run at miniature size."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from allinone.cli.main import main
from allinone.data import write_synthetic_corpus

TRAIN = (
    "train",
    "experiment=tiny_synthetic",
    "trainer.max_steps=4",
    "trainer.validate_every_steps=4",
    "trainer.checkpoint_every_steps=2",
    "trainer.accelerator=cpu",
    "data.batch_seconds=10",
)


@dataclass(frozen=True)
class Said:
    """What a call of the command came to."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the command in this process."""

    def call(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        return Said(code, streams.out, streams.err)

    return call


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of a synthetic corpus."""
    return write_synthetic_corpus(tmp_path_factory.mktemp("corpus"), utterances=60)


@dataclass(frozen=True)
class Trained:
    """A finished training run at miniature size."""

    folder: Path
    output: str

    @property
    def checkpoint(self) -> Path:
        """What it came to."""
        return self.folder / "checkpoints" / "model.ckpt"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Trained:
    """One run of `allinone train`."""
    return train(tmp_path_factory.mktemp("trained"), corpus)


@pytest.fixture(scope="session")
def hybrid(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Trained:
    """One with an attention decoder."""
    return train(tmp_path_factory.mktemp("hybrid"), corpus, "attention=decoder_tiny")


def train(place: Path, corpus: Path, *arguments: str) -> Trained:
    """Runs `allinone train` in a folder."""
    with contextlib.chdir(place), (place / "out.txt").open("w+") as out, contextlib.redirect_stdout(out):
        code = main([*TRAIN, f"data.corpus.table={corpus}", f"data.cache={corpus.parent / 'cache'}", *arguments])
        out.seek(0)
        assert code == 0
        (folder,) = (place / "runs" / "tiny_synthetic").iterdir()
        return Trained(folder, out.read())


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Path:
    """The directory of the smallest member."""
    return export(tmp_path_factory.mktemp("exported") / "small", trained)


@pytest.fixture(scope="session")
def exported_hybrid(tmp_path_factory: pytest.TempPathFactory, hybrid: Trained) -> Path:
    """That of the smallest member with an attention decoder."""
    return export(tmp_path_factory.mktemp("exported_hybrid") / "small", hybrid)


def export(folder: Path, trained: Trained) -> Path:
    """Runs `allinone export`."""
    assert main(["export", f"checkpoint={trained.checkpoint}", "subnet=smallest", f"output={folder}"]) == 0
    return folder


def files_below(folder: Path) -> set[str]:
    """Relative paths of all files and folders."""
    return {os.fspath(path.relative_to(folder)) for path in folder.rglob("*")}
