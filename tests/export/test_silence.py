"""Nothing is heard where nothing is said: silence is no sound, and an hour of it takes no network and no memory."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from allinone.decoding import Decode, Heard, Hypothesis, Joint
from allinone.export import load, write_artefact
from allinone.export.audio import is_silent
from allinone.models import decoder_tiny
from allinone.subnet import SubnetConfig
from allinone.text import Tokenizer
from tests.export.families import make_task, write

RATE = 16_000


class Inventor:
    """Hears a word in anything, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def build(self, tokenizer: Tokenizer) -> Decode:
        def decode(heard: Heard) -> list[list[Hypothesis]]:
            self.asked += len(heard.lengths)
            return [[Hypothesis("you", {"total": -0.5})] for _ in heard.lengths]

        return decode


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("export") / "member")


def tone(seconds: float, decibel: float, rate: int = RATE) -> np.ndarray:
    """Of this root mean square, relative to full scale."""
    time = np.arange(int(seconds * rate)) / rate
    return (2**0.5 * 10 ** (decibel / 20) * np.sin(2 * np.pi * 200 * time)).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_silence_is_what_is_quieter_than_60_decibels_below_full_scale(rate):
    assert is_silent(tone(1.0, -61, rate), rate)
    assert not is_silent(tone(1.0, -59, rate), rate)
    assert is_silent(np.full(rate, 0.1, np.float32), rate)  # an offset is no sound
    assert not is_silent(0.1 + tone(1.0, -59, rate), rate)
    dither = np.random.default_rng(0).integers(-3, 4, rate) / 32768
    assert is_silent(dither.astype(np.float32), rate)
    assert is_silent(np.zeros(0, np.float32), rate)


def test_a_short_sound_in_silence_is_not_silent():
    for start in (0, 7_777, RATE - 320):
        window = np.zeros(RATE, np.float32)
        window[start : start + 320] = tone(0.02, -50)
        assert not is_silent(window, RATE)


@pytest.mark.parametrize("seconds", [0.0, 0.2, 3.0, 50.0])
def test_nothing_is_heard_in_silence_and_no_network_is_asked(folder, seconds):
    decoder = Inventor()
    recogniser = load(folder, decoder=decoder)
    for silence in (np.zeros(int(RATE * seconds), np.int16), tone(seconds, -65)):
        assert recogniser.transcribe(silence, RATE) == ""
        assert recogniser.hypotheses(silence, RATE) == []
    assert decoder.asked == 0
    assert recogniser.transcribe(tone(1.0, -30), RATE) == "you"


def test_a_text_that_an_attention_decoder_is_unsure_of_is_not_heard(tmp_path):
    """The guard for noise, which is no silence."""
    folder = write_artefact(make_task(attention=decoder_tiny()), SubnetConfig.parse("1-32-32bit"), tmp_path / "member")
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    credulous = Joint(beam_size=2, ctc_weight=0.0)
    ((invented,),) = load(folder, decoder=credulous).hypotheses(noise, RATE)
    ((hypothesis,),) = load(folder, decoder=replace(credulous, min_confidence=-0.1)).hypotheses(noise, RATE)
    assert invented.text != hypothesis.text == ""
    assert invented.scores == hypothesis.scores


def hour(path: Path, minutes: int) -> Path:
    """A recording of so many minutes: sound for 3 s in each, the rest silence."""
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for _ in range(minutes):
            file.write(np.concatenate([np.zeros(57 * RATE, np.float32), tone(3.0, -20)]))
    return path


def test_of_an_hour_silent_windows_are_skipped_texts_joined_and_memory_stays_flat(folder, tmp_path):
    peaks = []
    for minutes in (10, 60):
        decoder, path = Inventor(), hour(tmp_path / "long.flac", minutes)
        recogniser = load(folder, decoder=decoder)
        tracemalloc.start()
        text = recogniser.transcribe_file(path)
        peaks.append(tracemalloc.get_traced_memory()[1])  # of numpy: the recording, not the network
        tracemalloc.stop()
        assert minutes <= decoder.asked <= 2 * minutes  # of at least 3 windows a minute; a sound may be cut in two
        assert text == " ".join(["you"] * decoder.asked)
    assert peaks[1] < 1.3 * peaks[0]  # where windows are cut differs a little
