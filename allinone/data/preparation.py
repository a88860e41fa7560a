"""Preparation: each recording of a corpus is decoded once into 16-bit WAV at 16 kHz, in a cache folder."""

import hashlib
import json
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from lhotse import AudioSource, Recording, RecordingSet
from torch.utils.data import DataLoader, Dataset

from allinone.data.archive import members_of
from allinone.data.audio import read_mono, write_wav
from allinone.data.batch import SAMPLE_RATE
from allinone.data.report import EMPTY_AUDIO, MISSING, UNREADABLE
from allinone.data.rows import Row

logger = logging.getLogger(__name__)

_VERSION = 1
_SAID_EVERY = 5.0
_FEW = 64

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Prepared:
    """The audio of a corpus, ready to load.

    Attributes:
        recordings: lhotse recordings by utterance id; those that are not at 16 kHz carry the resampling.
        problems: ids of the others to their reason and its detail.
        rates: how many recordings had which sample rate, in Hz.
    """

    recordings: dict[str, Recording]
    problems: dict[str, tuple[str, str]]
    rates: dict[int, int]


@dataclass(frozen=True)
class _Probe:
    """What one worker found in one recording; ``reason`` is empty when it is good."""

    samples: int = 0
    rate: int = 0
    channels: int = 1
    reason: str = ""
    detail: str = ""


def prepare_audio(
    rows: Sequence[Row],
    archive: Path | None,
    cache: Path | None,
    workers: int = 4,
    progress: Progress | None = None,
) -> Prepared:
    """Decode what is not decoded yet.

    Without a cache the recordings stay where they are and are decoded whenever they are loaded; then only their
    headers are read here, so damage inside a file is found when it is loaded. So it is, with or without a cache, for
    rows that bring their recording: an importer has read its header, and a cache would hold 115 MB for each hour.

    Args:
        rows: utterances with different ids.
        archive: uncompressed tar with the recordings; None when ``Row.audio`` is a path.
        cache: folder for decoded audio; what it holds is used again while the recordings keep size and time.
        workers: processes that decode.
        progress: called with the recordings done and all; the log tells every few seconds in any case.

    Raises:
        ValueError: if the archive is no uncompressed tar, or is to be read without a cache; or if the cache cannot be
            written.
    """
    loose = [row for row in rows if row.recording is None]
    return _bring(rows, _prepare(loose, archive, cache, workers, progress) if loose else Prepared({}, {}, {}))


def _prepare(
    rows: Sequence[Row], archive: Path | None, cache: Path | None, workers: int, progress: Progress | None
) -> Prepared:
    """Rows of which nothing has been read yet."""
    if cache is None:
        if archive is not None:
            raise ValueError(
                f"an archive of recordings requires a cache folder to decode into, found cache=null for {archive}; "
                "set cache=.cache/allinone, or unpack the archive"
            )
        return _collect(rows, _run(rows, _InPlace(rows), workers, progress), None)
    folder = cache.absolute() / _key(rows, archive)
    if not (folder / "problems.json").is_file():
        _fill(folder, rows, archive, workers, progress)
    return _load(folder)


def _bring(rows: Sequence[Row], prepared: Prepared) -> Prepared:
    """Adds the recordings that rows bring; segments of one recording share one value, resampled or not."""
    shared: dict[str, Recording] = {}
    recordings, rates = dict(prepared.recordings), Counter(prepared.rates)
    for row in rows:
        if (recording := row.recording) is not None:
            rates[recording.sampling_rate] += 1
            if row.audio not in shared:
                foreign = recording.sampling_rate != SAMPLE_RATE
                shared[row.audio] = recording.resample(SAMPLE_RATE) if foreign else recording
            recordings[row.id] = shared[row.audio]
    return Prepared(recordings, prepared.problems, dict(rates))


def _key(rows: Sequence[Row], archive: Path | None) -> str:
    """A name for the decoded audio, different when a recording, its size or its time differs."""
    source = [] if archive is None else [archive.name, *_stat(archive)]
    audio = [[row.id, row.audio, *([] if archive is not None else _stat(Path(row.audio)))] for row in rows]
    return hashlib.sha256(json.dumps([_VERSION, SAMPLE_RATE, source, audio]).encode()).hexdigest()[:24]


def _stat(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _fill(folder: Path, rows: Sequence[Row], archive: Path | None, workers: int, progress: Progress | None) -> None:
    """Decode into a folder of a temporary name and rename it, so that no half-filled folder bears the name."""
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    logger.info("decoding %d recordings to 16 kHz in %s", len(rows), folder)
    try:
        _remove_remains(folder)
        for start in range(0, len(rows), 1000):
            (partial / _wav(start)).parent.mkdir(parents=True)
        decoded = _collect(rows, _run(rows, _Decode(rows, archive, partial), workers, progress), partial)
        RecordingSet.from_recordings(decoded.recordings.values()).to_file(partial / "recordings.jsonl")
        found = {"problems": decoded.problems, "rates": {str(rate): count for rate, count in decoded.rates.items()}}
        (partial / "problems.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        try:
            partial.rename(folder)
        except OSError:  # another process was faster; its folder holds the same
            if not (folder / "problems.json").is_file():
                raise
    except OSError as error:
        cause = str(error).strip().rpartition("\n")[2]  # a worker puts its traceback before
        raise ValueError(
            "preparation requires a cache folder with room for decoded audio (115 MB an hour), found that "
            f"{folder.parent} cannot be written ({cause}); free some room, or set cache to another folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_remains(folder: Path) -> None:
    """Delete what a killed preparation left; one of our own process number was another's, as in a new container."""
    for remains in folder.parent.glob(f"{folder.name}.partial-*"):
        process = int(remains.name.rpartition("-")[2])
        if process == os.getpid():
            shutil.rmtree(remains)
            continue
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            shutil.rmtree(remains, ignore_errors=True)
        except PermissionError:
            pass


def _load(folder: Path) -> Prepared:
    found = json.loads((folder / "problems.json").read_text(encoding="utf-8"))
    recordings = {}
    for line in (folder / "recordings.jsonl").read_text(encoding="utf-8").splitlines():
        recording = Recording.from_dict(json.loads(line))
        recordings[recording.id] = recording.with_path_prefix(folder)
    problems = {name: (reason, detail) for name, (reason, detail) in found["problems"].items()}
    return Prepared(recordings, problems, {int(rate): count for rate, count in found["rates"].items()})


def _wav(number: int) -> str:
    return f"audio/{number // 1000:04d}/{number:07d}.wav"


def _run(rows: Sequence[Row], task: Dataset[_Probe], workers: int, progress: Progress | None) -> Iterable[_Probe]:
    """Results of a task for every row in order, computed by worker processes."""
    workers = 0 if len(rows) < _FEW else min(workers, _cores())
    loader = DataLoader(
        task,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=32 if workers else None,
        generator=torch.Generator(),  # leaves the global one alone
    )
    said = time.monotonic()
    for number, probe in enumerate(loader, start=1):
        yield probe
        if progress is not None:
            progress(number, len(rows))
        if time.monotonic() - said > _SAID_EVERY:
            said = time.monotonic()
            logger.info("read %d of %d recordings", number, len(rows))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _collect(rows: Sequence[Row], probes: Iterable[_Probe], folder: Path | None) -> Prepared:
    """Sort results into recordings and problems; paths are relative in a cache folder."""
    recordings, problems, rates = {}, {}, Counter()
    for number, (row, probe) in enumerate(zip(rows, probes, strict=True)):
        if probe.reason:
            problems[row.id] = (probe.reason, probe.detail)
            continue
        rates[probe.rate] += 1
        rate = probe.rate if folder is None else SAMPLE_RATE
        recording = Recording(
            id=row.id,
            sources=[AudioSource("file", list(range(probe.channels)), row.audio if folder is None else _wav(number))],
            sampling_rate=rate,
            num_samples=probe.samples,
            duration=probe.samples / rate,
        )
        recordings[row.id] = recording.resample(SAMPLE_RATE) if rate != SAMPLE_RATE else recording
    return Prepared(recordings, problems, dict(rates))


class _InPlace(Dataset[_Probe]):
    """Reads the headers of recordings."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> _Probe:
        path = Path(self.rows[index].audio)
        if not path.is_file():
            return _Probe(reason=MISSING, detail=f"no file {path}")
        try:
            info = soundfile.info(str(path))
        except (soundfile.SoundFileError, OSError) as error:
            return _Probe(reason=UNREADABLE, detail=str(error))
        if not info.frames:
            return _Probe(reason=EMPTY_AUDIO, detail="no samples")
        return _Probe(info.frames, info.samplerate, info.channels)


class _Decode(Dataset[_Probe]):
    """Decodes recordings into WAV files below a folder."""

    def __init__(self, rows: Sequence[Row], archive: Path | None, folder: Path) -> None:
        self.rows, self.archive, self.folder = rows, archive, folder
        self.members = {} if archive is None else members_of(archive)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> _Probe:
        try:
            samples, rate = read_mono(self._source(self.rows[index].audio))
        except FileNotFoundError as error:
            return _Probe(reason=MISSING, detail=str(error))
        except (soundfile.SoundFileError, OSError, RuntimeError) as error:
            return _Probe(reason=UNREADABLE, detail=str(error))
        if not np.isfinite(samples).all():
            return _Probe(reason=UNREADABLE, detail="samples that are not finite numbers")
        if not samples.any():
            return _Probe(reason=EMPTY_AUDIO, detail="no samples" if not len(samples) else "digital silence")
        write_wav(self.folder / _wav(index), samples)
        return _Probe(len(samples), rate)

    def _source(self, audio: str) -> Path | bytes:
        if self.archive is None:
            if not Path(audio).is_file():
                raise FileNotFoundError(f"no file {audio}")
            return Path(audio)
        if audio not in self.members:
            raise FileNotFoundError(f"no member {audio} in {self.archive.name}")
        offset, size = self.members[audio]
        with self.archive.open("rb") as file:
            file.seek(offset)
            return file.read(size)
