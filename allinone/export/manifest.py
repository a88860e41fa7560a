"""The manifest of an exported member: what the folder holds, and the hashes that prove it."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from allinone.export.tensors import Table
from allinone.text.json_file import json_object

FILE_NAME = "manifest.json"
FORMAT = "allinone-member"
FORMAT_VERSION = 1

AGAIN = "Export the member again, or copy the whole folder again."


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an exported member is.

    Args:
        member: its name, such as ``4-512-4bit``.
        parameters: number of weights by the papers' count.
        bytes: size by the papers' rule.
        bytes_stored: bytes of all stored tensors.
        macs: multiply-accumulates per second of audio.
        ratio: bytes of the family's whole network at full precision, divided by ``bytes``.
        network: description from which the network and its tokenizer are rebuilt.
        tensors: for each weight how it is stored, see :mod:`allinone.export.tensors`.
        weights: name of the file of the weights.
        tokens: name of the file that lists the tokens.
        training_data: ``hash`` and ``about`` (a sentence on source and licence), each None where unknown.
        results: measured error rates in percent by split, ``{"test": {"wer": 23.1, "cer": 9.4}}``, or None.
        versions: of the packages that wrote it.
        files: for each other file its ``bytes`` and ``sha256``.
        nested: for each of several precisions that are read from the same integers, by bits: the ``member``, its
            ``bytes`` and ``ratio``, and of what is read for it ``bytes_read`` and ``sha256``; None if there is one.
    """

    member: str
    parameters: int
    bytes: int
    bytes_stored: int
    macs: int
    ratio: float
    network: dict[str, Any]
    tensors: Table
    weights: str
    tokens: str
    training_data: dict[str, str | None]
    results: dict[str, dict[str, float]] | None
    versions: dict[str, str]
    files: dict[str, dict[str, Any]]
    nested: dict[str, dict[str, Any]] | None = None

    def write(self, folder: Path) -> None:
        """Writes ``manifest.json``."""
        own = {name: value for name, value in asdict(self).items() if value is not None or name not in _optional()}
        content = {"format": FORMAT, "format_version": FORMAT_VERSION, **own}
        lines = [f"{_json(name)}: {_json_lines(value)}" for name, value in content.items()]
        (folder / FILE_NAME).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Reads and checks ``manifest.json``; :meth:`check_files` checks what it names.

        Raises:
            ValueError: if the folder is missing or foreign, or the manifest is damaged or of a newer format.
        """
        content = _read_json(folder)
        if content.get("format") != FORMAT:
            raise ValueError(
                f"{folder / FILE_NAME} must be the manifest of a member that allinone exported (format {FORMAT!r}); "
                f"found format {content.get('format')!r}. Name a folder that `allinone export` wrote."
            )
        if content.get("format_version") != FORMAT_VERSION:
            raise ValueError(
                f"This allinone reads members of format version {FORMAT_VERSION}; found version "
                f"{content.get('format_version')!r} in {folder}. Install the allinone that wrote it "
                f"({content.get('versions')}), or export the member again."
            )
        values = {name: value for name, value in content.items() if name not in ("format", "format_version")}
        required = {field.name: field.type for field in fields(cls)}
        wrong = sorted((required.keys() ^ values.keys()) - _optional())
        wrong += [name for name in required.keys() & values.keys() if not _fits(values[name], required[name])]
        if wrong:
            raise ValueError(
                f"{folder / FILE_NAME} must have the fields {', '.join(required)}; found {', '.join(wrong)} missing, "
                f"unknown or of a wrong type. {AGAIN}"
            )
        return cls(**values)

    def check_files(self, folder: Path, unread: Collection[str] = ()) -> None:
        """Compares every file with its size and its hash; those that are not read as a whole with their size alone.

        Raises:
            ValueError: naming the first file that is missing, torn or changed.
        """
        for name in (self.weights, self.tokens):
            if name not in self.files:
                raise ValueError(f"{folder / FILE_NAME} must list the hash of {name}; found none. {AGAIN}")
        for name, entry in self.files.items():
            if Path(name).name != name:  # never read outside the folder
                raise ValueError(f"A manifest names files of its own folder; found {name!r} in {folder}. {AGAIN}")
            path = folder / name
            if not path.is_file():
                raise ValueError(f"The exported member needs the file {name}; found none in {folder}. {AGAIN}")
            size = path.stat().st_size
            if size != entry.get("bytes"):
                raise ValueError(f"{path} must have {entry.get('bytes')} bytes; found {size}. {AGAIN}")
            if name in unread:
                continue
            found = file_entry(path)
            if found["sha256"] != entry.get("sha256"):
                raise ValueError(
                    f"{path} must have the sha256 {entry.get('sha256')}; found {found['sha256']}: "
                    f"it was changed after the export. {AGAIN}"
                )


def _optional() -> set[str]:
    """The fields that older manifests lack."""
    return {field.name for field in fields(Manifest) if field.default is not MISSING}


def file_entry(path: Path) -> dict[str, Any]:
    """Size and hash of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def is_exported_member(folder: Path) -> bool:
    """Whether everything in a folder was written by an export, so that it can be replaced."""
    try:
        content = _read_json(folder)
    except ValueError:
        return False
    files = content.get("files")
    return (
        content.get("format") == FORMAT
        and isinstance(files, Mapping)
        and {path.name for path in folder.iterdir()} <= {FILE_NAME, *files}
    )


def _read_json(folder: Path) -> dict[str, Any]:
    path = folder / FILE_NAME
    if not path.is_file():
        found = "no such folder" if not folder.is_dir() else _listing(entry.name for entry in folder.iterdir())
        raise ValueError(
            f"An exported member is a folder with a {FILE_NAME}; found {found} at {folder}. "
            "Name a folder that `allinone export` wrote."
        )
    return json_object(path, AGAIN)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _json_lines(value: object) -> str:
    """A value as JSON; each entry of a dictionary stands on a line of its own."""
    if not isinstance(value, dict) or not value:
        return _json(value)
    return "{\n" + ",\n".join(f"  {_json(name)}: {_json(entry)}" for name, entry in value.items()) + "\n}"


def _listing(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:5]) or "an empty folder"


def _fits(value: object, annotation: Any) -> bool:
    """Whether a JSON value is of the kind that a field's annotation names, entries of dictionaries included."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return any(_is(value, kind) for kind in kinds)


def _is(value: object, kind: Any) -> bool:
    if get_origin(kind) is not dict:
        return kind is Any or isinstance(value, (int, float) if kind is float else kind)
    return isinstance(value, dict) and all(_fits(entry, get_args(kind)[1]) for entry in value.values())
