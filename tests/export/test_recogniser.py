"""Laws of the recogniser: it needs no supernet, and takes recordings of any form and length."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from allinone.decoding import Decode, Hypothesis, Joint, ctc_greedy
from allinone.export import Recogniser, load, read_artefact
from allinone.export.audio import windows
from allinone.text import Tokenizer
from tests.export.families import write

RATE = 16_000


def sound(seconds: float, rate: int = RATE) -> np.ndarray:
    """Tones that change, in noise, ``(samples,)``."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.02, len(time))
    return (0.3 * np.sin(2 * np.pi * 300 * (1 + np.floor(4 * time) % 5) * time) + noise).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("export") / "member")


@pytest.fixture(scope="module")
def recogniser(folder) -> Recogniser:
    return load(folder)


def test_a_recogniser_tells_what_it_is(recogniser, folder):
    assert recogniser.member == "2-32-4bit"
    assert recogniser.manifest == read_artefact(folder).manifest
    assert recogniser.tokens[:3] == ("<blank>", " ", "'")
    assert not recogniser.network.training


@torch.no_grad()
def test_a_recogniser_decodes_what_its_network_says(recogniser):
    samples = torch.from_numpy(sound(2.0))
    output = recogniser.network(samples[None], torch.tensor([len(samples)]))
    (labels,) = ctc_greedy(output.log_probs, output.lengths)
    text = "".join(recogniser.tokens[label] for label in labels)
    assert text.strip()
    assert recogniser.transcribe(samples, RATE) == " ".join(text.split())


def test_a_recogniser_decodes_as_is_asked(folder):
    asked = []

    class SameForAll:
        def build(self, tokenizer: Tokenizer) -> Decode:
            asked.append(tokenizer)
            return lambda heard: [[Hypothesis("so  it ")], [Hypothesis("is")]][: len(heard.lengths)]

    other = load(folder, decoder=SameForAll())
    assert other.transcribe(sound(1.0), RATE) == "so it"
    assert [tokenizer.tokens for tokenizer in asked] == [other.tokens]


def test_each_window_has_its_hypotheses_with_scores(folder, tmp_path):
    decoder = Joint(beam_size=4, ctc_weight=1.0, nbest=3)
    recogniser = Recogniser(read_artefact(folder), decoder=decoder, longest_seconds=1.0)
    recording = np.concatenate([sound(0.7), np.zeros(4_000, np.float32)] * 3)
    heard = recogniser.hypotheses(recording, RATE)
    assert len(heard) > 1
    for hypotheses in heard:
        totals = [hypothesis.scores["total"] for hypothesis in hypotheses]
        assert len(totals) == 3
        assert totals == sorted(totals, reverse=True)
    best = [hypotheses[0].text for hypotheses in heard]
    assert recogniser.transcribe(recording, RATE) == " ".join(" ".join(best).split())
    soundfile.write(tmp_path / "sound.wav", recording, RATE, subtype="FLOAT")
    assert recogniser.hypotheses_of_file(tmp_path / "sound.wav") == heard


def test_the_form_of_the_waveform_does_not_matter(recogniser):
    integers = (sound(1.5) * 32767).astype(np.int16)
    text = recogniser.transcribe(integers, RATE)
    assert text
    stereo = np.stack([integers, integers])
    for form in (stereo, stereo.T, integers / 32768, torch.from_numpy(integers), integers.astype(np.float32) / 32768):
        assert recogniser.transcribe(form, RATE) == text


@pytest.mark.parametrize("seconds", [0, 0.001, 0.02, 0.05])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_too_little_audio_is_no_text(recogniser, seconds, rate):
    assert recogniser.transcribe(sound(seconds, rate), rate) == ""


def test_damaged_audio_is_refused(recogniser, tmp_path):
    samples = sound(1.0)
    samples[7] = np.nan
    message = r"A waveform must hold finite samples; found 1 times NaN or infinity\. Read the recording again"
    with pytest.raises(ValueError, match=message):
        recogniser.transcribe(samples, RATE)
    soundfile.write(tmp_path / "nan.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match=rf"nan\.wav: {message}"):
        recogniser.transcribe_file(tmp_path / "nan.wav")
    with pytest.raises(ValueError, match=r"A sample rate must be a whole number of .*; found 0\. Pass the rate"):
        recogniser.transcribe(sound(1.0), 0)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100])
def test_a_file_gives_the_text_of_its_samples(recogniser, tmp_path, ending, rate):
    file = tmp_path / f"sound.{ending}"
    soundfile.write(file, np.stack([sound(1.5, rate)] * 2, axis=1), rate)
    decoded, _ = soundfile.read(file, dtype="float32")
    text = recogniser.transcribe_file(file)
    assert text
    assert text == recogniser.transcribe(decoded, rate)
    assert text == recogniser.transcribe_file(str(file))


def test_files_without_audio_are_refused(recogniser, tmp_path):
    with pytest.raises(ValueError, match=r"needs an audio file; found none at .*none\.wav\. Check the path"):
        recogniser.transcribe_file(tmp_path / "none.wav")
    for name in ("text.wav", "text.raw"):
        (tmp_path / name).write_text("no sound at all")
        with pytest.raises(
            ValueError, match=rf"that soundfile reads .*; found .*{name}, which .*\. Convert the file to"
        ):
            recogniser.transcribe_file(tmp_path / name)


def test_an_empty_file_of_audio_is_no_text(recogniser, tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), RATE)
    assert recogniser.transcribe_file(tmp_path / "empty.wav") == ""


def test_long_recordings_are_recognised_window_by_window(folder, tmp_path):
    parts = [sound(0.7), np.zeros(4_000, np.float32)] * 3
    recogniser = load(folder)
    short = Recogniser(read_artefact(folder), longest_seconds=1.0)
    text = short.transcribe(np.concatenate(parts), RATE)
    assert text.split() == " ".join(recogniser.transcribe(piece, RATE) for piece in _cut(np.concatenate(parts))).split()
    with pytest.raises(
        ValueError, match=r"Windows must be at least 1 second long; found longest_seconds=0\.5\. Name a"
    ):
        Recogniser(read_artefact(folder), longest_seconds=0.5)


def _cut(recording: np.ndarray) -> list[np.ndarray]:
    return list(windows([recording], RATE, int(0.4 * RATE), int(0.2 * RATE)))


def test_the_memory_for_a_file_does_not_grow_with_its_length(folder, tmp_path):
    recogniser = Recogniser(read_artefact(folder), longest_seconds=1.0)
    peaks = []
    for seconds in (10, 60):
        soundfile.write(tmp_path / "long.wav", sound(seconds), RATE)
        tracemalloc.start()
        recogniser.transcribe_file(tmp_path / "long.wav")
        peaks.append(tracemalloc.get_traced_memory()[1])  # of numpy: the recording, not the network
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_a_directory_is_enough_to_transcribe(folder, tmp_path):
    soundfile.write(tmp_path / "sound.wav", sound(1.0), RATE)
    program = f"""
import sys
from allinone.export import extract, load, write_artefact
load({str(folder)!r}).transcribe_file({str(tmp_path / "sound.wav")!r})
banned = ("lightning", "hydra", "omegaconf", "lhotse", "allinone.training", "allinone.data", "allinone.cli")
found = [name for name in sys.modules if name.startswith((*banned, "allinone.tasks.speech")) or "elastic" in name]
assert not found, found
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert result.returncode == 0, result.stderr
