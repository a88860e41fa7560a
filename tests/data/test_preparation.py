"""Preparation decodes once, names every fault, and leaves nothing half written."""

import multiprocessing
import os
import signal
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from allinone.data import preparation
from allinone.data.corpora import Row, TableCorpus
from allinone.data.cuts import make_cut
from allinone.data.dataset import load
from allinone.data.preparation import Prepared, prepare_audio
from tests.data.examples import RATE, tone, write_bad_corpus, write_table


@pytest.fixture
def rows(tmp_path) -> list[Row]:
    """Ten recordings in a folder of their own."""
    for number in range(10):
        soundfile.write(tmp_path / f"{number}.wav", tone(0.2, pitch=200 + 100 * number), RATE)
    table = write_table(tmp_path, [(f"u{number}", f"{number}.wav", "a") for number in range(10)])
    return TableCorpus(table).rows()


def samples(prepared: Prepared, name: str) -> np.ndarray:
    return load(make_cut(Row(name, "", "a"), "a", prepared.recordings[name]))


def prepare(rows: list[Row], cache: Path | None, **settings) -> Prepared:
    return prepare_audio(rows, None, cache, **settings)


def test_what_is_prepared_is_what_was_recorded(rows, tmp_path):
    prepared = prepare(rows, tmp_path / "cache")
    for number in range(10):
        assert np.abs(samples(prepared, f"u{number}") - tone(0.2, pitch=200 + 100 * number)).max() < 2e-4
    assert prepared.rates == {RATE: 10}
    assert prepared.problems == {}


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
@pytest.mark.parametrize("cached", [True, False])
def test_another_sample_rate_is_resampled_to_16_khz(tmp_path, rate, cached):
    soundfile.write(tmp_path / "a.wav", tone(0.5, rate), rate)
    prepared = prepare([Row("a", str(tmp_path / "a.wav"), "a")], tmp_path / "cache" if cached else None)
    found = samples(prepared, "a")
    assert prepared.rates == {rate: 1}
    assert abs(len(found) - 8000) <= 1
    assert np.abs(found[200:7800] - tone(0.5)[200:7800]).max() < 5e-3


@pytest.mark.parametrize("cached", [True, False])
def test_channels_are_mixed_to_their_mean(tmp_path, cached):
    left, right = tone(0.3), tone(0.3, pitch=1000)
    soundfile.write(tmp_path / "a.flac", np.stack([left, right], axis=1), RATE)
    prepared = prepare([Row("a", str(tmp_path / "a.flac"), "a")], tmp_path / "cache" if cached else None)
    assert np.abs(samples(prepared, "a") - (left + right) / 2).max() < 2e-4


def test_every_kind_of_bad_recording_is_named(tmp_path):
    rows = [row for row in TableCorpus(write_bad_corpus(tmp_path)).rows() if row.id != "malformed"]
    rows = list({row.id: row for row in rows}.values())
    problems = prepare(rows, tmp_path / "cache").problems
    assert {name: reason for name, (reason, _) in problems.items()} == {
        "no-samples": "empty audio",
        "silent": "empty audio",
        "not-finite": "unreadable audio",
        "torn": "unreadable audio",
        "noise": "unreadable audio",
        "gone": "missing file",
    }
    assert problems["gone"][1] == f"no file {tmp_path / 'gone.wav'}"
    assert problems["silent"][1] == "digital silence"


def test_recordings_in_place_are_checked_by_their_headers(tmp_path):
    rows = [row for row in TableCorpus(write_bad_corpus(tmp_path)).rows() if row.id != "malformed"]
    problems = prepare(list({row.id: row for row in rows}.values()), None).problems
    assert {name: reason for name, (reason, _) in problems.items()} == {
        "no-samples": "empty audio",
        "torn": "unreadable audio",
        "noise": "unreadable audio",
        "gone": "missing file",
    }


def test_an_archive_gives_what_its_files_give(rows, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"none")
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for name in [*(f"{number}.wav" for number in range(10)), "broken.wav"]:
            tar.add(tmp_path / name, arcname=f"./{name}")
    names = [Row(f"u{number}", f"{number}.wav", "a") for number in range(5)]
    names += [Row(f"u{number}", f"{number}", "a") for number in range(5, 10)]
    names += [Row("broken", "broken", "a"), Row("gone", "gone.wav", "a")]
    packed = prepare_audio(names, tmp_path / "all.tar", tmp_path / "cache")
    plain = prepare(rows, tmp_path / "cache")
    for number in range(10):
        assert np.array_equal(samples(packed, f"u{number}"), samples(plain, f"u{number}"))
    assert packed.problems["gone"] == ("missing file", "no member gone.wav in all.tar")
    assert packed.problems["broken"][0] == "unreadable audio"


def test_an_archive_that_cannot_be_read_as_such_is_refused(tmp_path):
    (tmp_path / "all.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(ValueError, match=r"requires an uncompressed tar, found .*all.tar, .*; decompress"):
        prepare_audio([Row("a", "a", "a")], tmp_path / "all.tar", tmp_path / "cache")
    with pytest.raises(ValueError, match=r"requires a cache folder .*, found cache=null for .*; set cache="):
        prepare_audio([Row("a", "a", "a")], tmp_path / "all.tar", None)


def test_a_second_start_decodes_nothing(rows, tmp_path, monkeypatch):
    first = prepare(rows, tmp_path / "cache")
    monkeypatch.delattr(preparation, "read_mono")
    second = prepare(rows, tmp_path / "cache")
    assert second.rates == first.rates
    assert np.array_equal(samples(second, "u3"), samples(first, "u3"))


def test_a_changed_recording_is_decoded_again(rows, tmp_path):
    prepare(rows, tmp_path / "cache")
    soundfile.write(tmp_path / "3.wav", tone(0.2, pitch=1500), RATE)
    os.utime(tmp_path / "3.wav", ns=(1, 1))
    assert np.abs(samples(prepare(rows, tmp_path / "cache"), "u3") - tone(0.2, pitch=1500)).max() < 2e-4


def test_workers_change_nothing(tmp_path):
    for number in range(5):
        soundfile.write(tmp_path / f"{number}.wav", tone(0.1, pitch=200 + 100 * number), RATE)
    many = [Row(f"u{number}", str(tmp_path / f"{number % 5}.wav"), "a") for number in range(70)]
    alone, shared = prepare(many, tmp_path / "one", workers=0), prepare(many, tmp_path / "two", workers=2)
    assert alone.recordings.keys() == shared.recordings.keys()
    assert all(np.array_equal(samples(alone, row.id), samples(shared, row.id)) for row in many)


def _prepare_until_killed(rows: list[Row], cache: Path) -> None:
    prepare(rows, cache, progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done == 5 else None)


def test_a_killed_preparation_leaves_nothing_that_is_taken_for_whole(rows, tmp_path):
    cache = tmp_path / "cache"
    process = multiprocessing.get_context("fork").Process(target=_prepare_until_killed, args=(rows, cache))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [".partial-" in folder.name for folder in cache.iterdir()] == [True]
    prepared = prepare(rows, cache)
    assert sorted(prepared.recordings) == [row.id for row in rows]
    assert [".partial-" in folder.name for folder in cache.iterdir()] == [False]


def test_remains_under_our_own_process_number_do_not_stop_a_new_start(rows, tmp_path):
    whole = prepare(rows, tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    folder.rename(folder.with_name(f"{folder.name}.partial-{os.getpid()}"))
    assert prepare(rows, tmp_path / "cache").rates == whole.rates
    assert list((tmp_path / "cache").iterdir()) == [folder]


def test_an_interrupted_preparation_leaves_nothing(rows, tmp_path):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(rows, tmp_path / "cache", progress=interrupt)
    assert list((tmp_path / "cache").iterdir()) == []


def test_progress_counts_to_all(rows, tmp_path):
    said = []
    prepare(rows, tmp_path / "cache", progress=lambda done, total: said.append((done, total)))
    assert said == [(number, 10) for number in range(1, 11)]


@pytest.mark.parametrize("count", [10, 70])
def test_a_full_disk_is_told_as_such_and_leaves_nothing(rows, tmp_path, monkeypatch, count):
    def fail(path: Path, samples: np.ndarray) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(preparation, "write_wav", fail)
    many = [replace(rows[number % 10], id=f"u{number}") for number in range(count)]
    with pytest.raises(ValueError, match=r"requires a cache folder with room .*No space left on device\); free some"):
        prepare(many, tmp_path / "cache", workers=2)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_a_folder_is_refused(rows, tmp_path):
    with pytest.raises(ValueError, match=r"found that .*0.wav cannot be written .*; free some room, or set cache to"):
        prepare(rows, tmp_path / "0.wav")
