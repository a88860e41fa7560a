"""The committed start of the Whisper recipe: it hears real speech, and nothing where nobody speaks."""

import csv
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from allinone import load
from allinone.decoding import Joint
from allinone.export import Recogniser
from allinone.text import Normalizer

RECIPE = Path(__file__).parents[2] / "recipes" / "amazon_queen"
RATE = 16_000
SECONDS = np.arange(4 * RATE) / RATE
GUARDED = Joint(beam_size=5, ctc_weight=0.0, max_repeats=5, min_confidence=-1.0)  # decoder=attention


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return load(RECIPE / "whisper", decoder=GUARDED)


def recordings(count: int) -> Iterator[tuple[str, np.ndarray, int]]:
    """The first test lines of letters alone: their words, and their samples."""
    with (RECIPE / "data" / "lines.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row["split"] == "test"]
    with tarfile.open(RECIPE / "data" / "audio.tar") as archive:
        names = {Path(name).stem: name for name in archive.getnames()}
        for row in [row for row in rows if not any(sign.isdigit() for sign in row["text"])][:count]:
            audio = archive.extractfile(names[row["id"]])
            assert audio is not None
            yield Normalizer()(row["text"]), *soundfile.read(io.BytesIO(audio.read()), dtype="float32")


def melody() -> np.ndarray:
    """Four seconds of plucked notes with five harmonics each."""
    samples = np.zeros_like(SECONDS)
    for place, note in enumerate(np.random.default_rng(2).integers(40, 80, size=16)):
        time = SECONDS[: RATE // 2]
        pitch = 440 * 2 ** ((note - 69) / 12)
        sound = sum(np.sin(2 * np.pi * pitch * harmonic * time) / harmonic for harmonic in range(1, 6))
        rest = samples[place * RATE // 4 :][: len(time)]
        rest += (sound * np.exp(-4 * time))[: len(rest)]
    return 0.2 * samples / np.abs(samples).max()


def test_it_is_small_and_has_its_licence_beside_it():
    assert sum(file.stat().st_size for file in (RECIPE / "whisper").iterdir()) < 45e6
    assert "OpenAI" in (RECIPE / "whisper" / "LICENSE").read_text()


def test_it_hears_most_lines_of_the_test_set_word_for_word(recogniser):
    heard = [(Normalizer()(recogniser.transcribe(audio, rate)), text) for text, audio, rate in recordings(10)]
    assert sum(guess == text for guess, text in heard) >= 6, heard


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(np.zeros_like(SECONDS), id="silence"),
        pytest.param(0.1 * np.sin(2 * np.pi * 440 * SECONDS), id="tone"),
        pytest.param(0.1 * np.sin(2 * np.pi * 50 * SECONDS), id="hum"),
        pytest.param(0.003 * np.random.default_rng(0).standard_normal(len(SECONDS)), id="quiet noise"),
        pytest.param(melody(), id="music"),
    ],
)
def test_it_hears_nothing_where_nobody_speaks(recogniser, sound):
    assert recogniser.transcribe(sound.astype(np.float32), RATE) == ""
