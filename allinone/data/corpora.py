"""Corpora: where recordings and their transcripts come from, a table or a folder, as rows."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from allinone.data.report import MALFORMED, MISSING

SPLITS = ("train", "dev", "test")
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".oga", ".aif", ".aiff", ".au", ".caf", ".w64")

_SPLIT_NAMES = {"train": "train", "training": "train", "dev": "dev", "valid": "dev", "validation": "dev", "val": "dev"}
_SPLIT_NAMES |= {"test": "test", "eval": "test"}
_COLUMNS = {
    "id": ("id", "utterance_id", "utt_id"),
    "audio": ("audio", "path", "audio_path", "file", "filename"),
    "text": ("text", "transcript", "sentence", "transcription"),
    "split": ("split",),
    "speaker": ("speaker", "speaker_id", "client_id"),
}


@dataclass(frozen=True)
class Row:
    """One utterance as its corpus names it.

    Attributes:
        id: its name, unique in the corpus.
        audio: path of the recording, or its name inside the corpus's archive (the suffix may be left out there).
        text: the transcript as written.
        split: ``train``, ``dev`` or ``test``; empty when the corpus gives none.
        speaker: empty when unknown.
        problem: why the row cannot be used at all, a reason of the data report and its detail; None when it can.
    """

    id: str
    audio: str
    text: str
    split: str = ""
    speaker: str = ""
    problem: tuple[str, str] | None = None


class Corpus(Protocol):
    """What preparation asks of a corpus."""

    @property
    def name(self) -> str:
        """Short name for logs and cards."""
        ...

    @property
    def archive_path(self) -> Path | None:
        """An uncompressed tar that holds the recordings; None when they are files."""
        ...

    def rows(self) -> list[Row]:
        """Every utterance, good or bad, in a fixed order."""
        ...


@dataclass(frozen=True)
class TableCorpus:
    """A table of tab-separated values with a header, one utterance a line; no quoting, UTF-8.

    Columns, in any order: ``text``, and ``audio`` (a path, relative to the audio folder) or ``id`` (the recording is
    ``<id>.<any audio suffix>``); optional ``split`` (train, dev, test) and ``speaker``; others are ignored.

    Attributes:
        table: path of the table.
        audio: folder of the recordings; the table's own folder by default.
        archive: uncompressed tar with the recordings, in place of a folder.
        name: for logs and tables; that of the table's file by default.

    Raises:
        ValueError: if a file is missing, or the header or a split is not as described (on ``rows``).
    """

    table: str
    audio: str | None = None
    archive: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", Path(self.table).stem)

    @property
    def archive_path(self) -> Path | None:
        return None if self.archive is None else Path(self.archive)

    def rows(self) -> list[Row]:
        table = Path(self.table)
        _require_file(table, "a table of the corpus", "corpus.table")
        if self.archive is not None:
            _require_file(Path(self.archive), "an archive of the recordings", "corpus.archive")
        lines = _read(table).split("\n")
        header = lines[0].split("\t")
        columns = {name: _find_column(header, names) for name, names in _COLUMNS.items()}
        if columns["text"] is None or (columns["audio"] is None and columns["id"] is None):
            raise ValueError(
                "a corpus table requires a header with a 'text' column and an 'audio' or 'id' column, separated by "
                f"tabs, found {header} in {table}; add the header line"
            )
        folder = table.parent if self.audio is None else Path(self.audio)
        if self.archive is None and not folder.is_dir():
            raise ValueError(
                f"a corpus requires the folder of its recordings, found none at {folder.absolute()}; "
                "correct corpus.audio"
            )
        stems = _stems(folder) if self.archive is None and columns["audio"] is None else {}
        rows = []
        for number, line in enumerate(lines[1:], start=2):
            if not line.strip():
                continue
            fields = line.split("\t")
            cell = {name: _cell(fields, column) for name, column in columns.items()}
            name = cell["id"] or cell["audio"].removesuffix(Path(cell["audio"]).suffix)
            if len(fields) != len(header):
                rows.append(_malformed(number, name, f"has {len(fields)} columns, the header {len(header)}"))
                continue
            if not name:
                rows.append(_malformed(number, name, "names no recording"))
                continue
            if self.archive is not None:
                audio = cell["audio"] or name
            else:
                audio = str(folder / cell["audio"]) if cell["audio"] else stems.get(name, str(folder / name))
            split = _split(cell["split"], f"{table}, line {number}") if columns["split"] is not None else ""
            rows.append(Row(name, audio, cell["text"], split, cell["speaker"]))
        return rows


@dataclass(frozen=True)
class FolderCorpus:
    """A folder, searched to any depth, of recordings each with its transcript beside it.

    The transcript of ``a/b.wav`` is ``a/b.txt``, or the line ``b <text>`` of any ``*.trans.txt`` in the same folder
    (as LibriSpeech keeps them). Hidden files and folders are passed over. When every recording lies below a folder
    ``train``, ``dev`` or ``test`` of the top level, these are the splits; otherwise splits are made automatically. Ids
    are the paths without suffix.

    Attributes:
        folder: path of the folder.
        name: for logs and tables; that of the folder by default.

    Raises:
        ValueError: if the folder is missing or holds no recording (on ``rows``).
    """

    folder: str
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", Path(self.folder).name)

    @property
    def archive_path(self) -> Path | None:
        return None

    def rows(self) -> list[Row]:
        top = Path(self.folder)
        if not top.is_dir():
            raise ValueError(f"a corpus requires its folder, found none at {top.absolute()}; correct corpus.folder")
        recordings = _recordings(top)
        if not recordings:
            raise ValueError(
                f"a corpus folder requires recordings ({', '.join(AUDIO_SUFFIXES)}) with .txt files beside them, "
                f"found none below {top.absolute()}; correct corpus.folder"
            )
        transcripts = _transcripts(top)
        given = [_split_name(path.relative_to(top).parts[0]) for path in recordings]
        rows = []
        for path, split in zip(recordings, given, strict=True):
            name = path.relative_to(top).with_suffix("").as_posix()
            text, problem = transcripts.get(name, ""), None
            if name not in transcripts:
                text, problem = _beside(path.with_suffix(".txt"))
            rows.append(Row(name, str(path), text, split if all(given) else "", "", problem))
        return rows


def check_split(name: str) -> None:
    """Raises ValueError unless a part of a corpus has this name."""
    if name not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; found {name!r}. Choose one of these.")


def _malformed(number: int, name: str, detail: str) -> Row:
    """A line of a table that cannot be understood."""
    return Row(name or f"line {number}", "", "", problem=(MALFORMED, f"line {number} {detail}"))


def _require_file(path: Path, what: str, setting: str) -> None:
    if not path.is_file():
        raise ValueError(
            f"training requires {what}, found no file at {path.absolute()}; run from the root of a checkout (the "
            f"embedded corpus lies in its recipes/amazon_queen/data), or name your own data ({setting}=PATH)"
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"a transcript file requires UTF-8, found {path} with {error}; convert it") from error


def _beside(path: Path) -> tuple[str, tuple[str, str] | None]:
    """The text of a file beside a recording, and the problem if there is none."""
    if not path.is_file():
        return "", (MISSING, f"no transcript {path.name} beside it")
    try:
        return " ".join(_read(path).split()), None
    except ValueError as error:
        return "", (MALFORMED, str(error))


def _find_column(header: list[str], names: Iterable[str]) -> int | None:
    lowered = [cell.strip().lower() for cell in header]
    return next((lowered.index(name) for name in names if name in lowered), None)


def _cell(fields: list[str], column: int | None) -> str:
    return fields[column].strip() if column is not None and column < len(fields) else ""


def _split_name(name: str) -> str:
    """The split that a name such as ``train-clean-100`` begins with; empty if it begins with none."""
    return _SPLIT_NAMES.get(re.split(r"[-_]", name.strip().lower())[0], "")


def _split(name: str, where: str) -> str:
    split = _split_name(name)
    if not split:
        raise ValueError(
            f"a 'split' column requires one of {', '.join(SPLITS)}, found {name!r} ({where}); correct it, "
            "or leave the column out to have splits made automatically"
        )
    return split


def _stems(folder: Path) -> dict[str, str]:
    """Names of recordings below a folder, without suffix, to their paths; of equal names the first counts."""
    return {path.relative_to(folder).with_suffix("").as_posix(): str(path) for path in reversed(_recordings(folder))}


def _recordings(folder: Path) -> list[Path]:
    """Every recording below a folder, hidden files and folders (such as a cache) left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _transcripts(top: Path) -> dict[str, str]:
    """Ids to texts from all ``*.trans.txt`` below a folder."""
    texts = {}
    for path in sorted(top.rglob("*.trans.txt")):
        for line in _read(path).split("\n"):
            stem, _, text = line.strip().partition(" ")
            if stem:
                texts[(path.parent / stem).relative_to(top).as_posix()] = text.strip()
    return texts
