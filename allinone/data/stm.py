"""STM: NIST's scoring references of telephone conversations (Hub5'00, RT-02, RT-03), as segments of recordings."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lhotse import Recording

from allinone.data.importing import importing, inside, require_folder
from allinone.data.report import MALFORMED, MISSING
from allinone.data.rows import Row, Segment

ADVICE = "unpack it again, or convert recordings that are compressed with shorten (recipes/switchboard/README.md)"

_AUDIO = (".sph", ".wav", ".flac")
_CHANNELS = {"A": 0, "B": 1, "1": 0, "2": 1}
_NOT_SCORED = re.compile("ignore_time_segment_in_scoring|inter_segment_gap", re.IGNORECASE)
_LABELS = re.compile(r"<[^<>]*,[^<>]*>")


@dataclass(frozen=True)
class StmSet:
    """An evaluation set: recordings of conversations, and the references that NIST's ``sclite`` scores them by.

    A line is ``<file> <channel> <speaker> <begin> <end> [<label,label,...>] <text>``: the recording's name without
    suffix, channel A and B or 1 and 2, seconds. Comments begin with ``;;``; what NIST does not score is passed over
    (SCTK, infmts.htm). Recordings have the suffix .sph, .wav or .flac.

    Attributes:
        audio: folder that holds the recordings, at any depth.
        reference: the STM file, or a folder that holds several, at any depth.
        subsets: each subset's name to what its lines have: the beginning of the file's name, or a label.
    """

    audio: str
    reference: str
    subsets: Mapping[str, str] = field(default_factory=dict)

    def rows(self, top: Path, name: str) -> list[Row]:
        """Every scored utterance, in order.

        Args:
            top: folder that paths are relative to.
            name: of the set: its split is ``test-<name>``, or ``test-<name>-<subset>``.

        Raises:
            ValueError: if a folder or file is missing, a recording cannot be read, or a line is in no subset.
        """
        what, leave = f"the evaluation set {name}", f"or leave the set out with corpus.{name}=null"
        require_folder(top / self.audio, what, "its recordings", f"corpus.{name}.audio, {leave}")
        paths = {path.stem: path for path in sorted((top / self.audio).rglob("*")) if path.suffix.lower() in _AUDIO}
        recordings: dict[str, Recording] = {}
        rows = []
        for number, line in enumerate(_lines(top / self.reference, what, f"corpus.{name}.reference, {leave}")):
            file, *fields = line.split()
            split = "-".join(["test", name, *self._subset(file, fields, what)])
            row = f"{name}-{file}-{number:05d}"
            if file not in paths:
                detail = f"no {file}.sph, .wav or .flac below {top / self.audio}"
                rows.append(Row(row, "", "", split, problem=(MISSING, detail)))
                continue
            if file not in recordings:
                with importing(what, ADVICE):
                    recordings[file] = Recording.from_file(paths[file])
            rows.append(_row(row, split, recordings[file], fields))
        return rows

    def _subset(self, file: str, fields: list[str], what: str) -> list[str]:
        """The name of the subset that a line is in; nothing where there are none."""
        labels = _labels(fields)
        found = [name for name, mark in self.subsets.items() if file.startswith(mark) or mark in labels]
        if self.subsets and not found:
            raise ValueError(
                f"{what} requires each line to be in one of the subsets {dict(self.subsets)}, by the beginning of its "
                f"file or by a label, found file {file} with labels {labels}; correct the subsets"
            )
        return found[:1]


def _lines(reference: Path, what: str, setting: str) -> Iterator[str]:
    """Lines that are scored, of a file or of all files below a folder."""
    files = [reference] if reference.is_file() else sorted(reference.rglob("*.stm"))
    if not files:
        raise ValueError(
            f"{what} requires its references, an STM file or a folder of them, at {reference.absolute()}, found "
            f"{inside(reference if reference.is_dir() else reference.parent)}; correct {setting}"
        )
    for file in files:
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.strip() and not line.startswith(";;") and not _NOT_SCORED.search(line):
                yield line


def _labels(fields: list[str]) -> list[str]:
    """What stands in angle brackets before the text."""
    given = len(fields) > 4 and _LABELS.fullmatch(fields[4])
    return fields[4][1:-1].split(",") if given else []


def _row(name: str, split: str, recording: Recording, fields: list[str]) -> Row:
    """The utterance of a line, whose fields follow the name of the file."""
    path = str(recording.sources[0].source)
    try:
        channel, speaker, start, end = _CHANNELS[fields[0]], fields[1], float(fields[2]), float(fields[3])
    except (KeyError, ValueError, IndexError):
        found = " ".join(fields[:4])
        detail = f"channel (A, B, 1 or 2), speaker, begin and end in seconds are required, found {found!r}"
        return Row(name, path, "", split, problem=(MALFORMED, detail))
    end = min(end, recording.duration)
    if not 0 <= start < end or channel >= recording.num_channels:
        detail = (
            f"{start:g} to {end:g} s of channel {channel + 1} are not in the recording of {recording.duration:g} s "
            f"and {recording.num_channels} channels"
        )
        return Row(name, path, "", split, problem=(MALFORMED, detail))
    text = " ".join(fields[5:] if _labels(fields) else fields[4:])
    segment = Segment(start, round(end - start, 6), channel)
    return Row(name, path, text, split, speaker, recording=recording, segment=segment)
