"""Laws of audio as callers hand it over: equal sound in any form gives equal samples; windows join to the recording."""

from fractions import Fraction

import numpy as np
import pytest
import soundfile
import torch

from allinone.data.audio import resample as training_resample
from allinone.export.audio import blocks, mono, resample, resampling_ratio, windows

WAVE = np.array([0.0, 0.5, -0.25, -1.0], np.float32)


@pytest.mark.parametrize(
    "waveform",
    [
        WAVE,
        WAVE.astype(np.float64),
        WAVE.astype(np.float16),
        (WAVE * 2**7).astype(np.int8),
        (WAVE * 2**15).astype(np.int16),
        (WAVE.astype(np.float64) * 2**31).astype(np.int32),
        (WAVE * 128 + 128).astype(np.uint8),
        torch.from_numpy(WAVE),
        torch.from_numpy(WAVE).bfloat16(),
        torch.from_numpy(WAVE).requires_grad_(),
        (torch.from_numpy(WAVE) * 2**15).to(torch.int16),
        WAVE[None],
        WAVE[:, None],
        np.stack([WAVE, WAVE]),
        np.stack([WAVE, WAVE], axis=1),
        np.stack([2 * WAVE, 0 * WAVE]),
        (np.stack([WAVE, WAVE], axis=1) * 2**15).astype(np.int16),
        WAVE.tolist(),
    ],
)
def test_equal_sound_gives_equal_samples(waveform):
    samples = mono(waveform)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, WAVE)


@pytest.mark.parametrize("shape", [(0,), (1, 0), (2, 0), (0, 2)])
def test_no_samples_are_no_samples(shape):
    assert mono(np.zeros(shape, np.int16)).shape == (0,)


@pytest.mark.parametrize("shape", [(), (40, 50), (1, 2, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"must have the shape \(samples,\), .*; found the shape .*\. Pass one recording"
    ):
        mono(np.zeros(shape))


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.bool_, np.complex64])
def test_other_kinds_of_numbers_are_refused(dtype):
    with pytest.raises(
        ValueError, match=r"must be floating point between -1 and 1, or int8, .*; found .*\. Convert it"
    ):
        mono(np.zeros(4, dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(value):
    with pytest.raises(
        ValueError, match=r"must hold finite samples; found 1 times NaN or infinity\. Read the recording"
    ):
        mono(np.array([0.0, value, 0.5]))


def test_floating_point_of_an_integers_scale_is_refused():
    with pytest.raises(ValueError, match=r"must lie between -1 and 1; found 32767\. Divide it by its full scale"):
        mono(np.array([0.0, 32767.0]))


@pytest.mark.parametrize("share", [1.0, 0.6], ids=["whole", "torn"])
@pytest.mark.parametrize("seconds", [0.1, 100])
def test_a_file_is_read_as_far_as_it_goes_whatever_its_header_says(share, seconds, tmp_path):
    """A torn MP3 has a header that tells of more samples than there are."""
    path = tmp_path / "torn.mp3"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, (20_000, 2)), 16_000)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with soundfile.SoundFile(path) as file:
        assert file.frames == 20_000
        samples = np.concatenate(list(blocks(file, seconds)))
    whole = soundfile.read(path, dtype="float32")[0].mean(axis=1)
    assert (len(whole) < 20_000) == (share < 1)
    np.testing.assert_allclose(samples, whole, atol=1e-6)


@pytest.mark.parametrize("rate", [0, -16_000, 16_000.5, float("nan"), 10_000_000])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(
        ValueError, match=r"A sample rate must be a whole number of 1000 to 1000000 Hz; found .*\. Pass"
    ):
        resampling_ratio(rate, 16_000)


def test_awkward_rates_are_rounded_to_small_fractions():
    assert resampling_ratio(16_000.0, 16_000) == 1
    assert resampling_ratio(44_100, 16_000) == Fraction(160, 441)
    ratio = resampling_ratio(44_101, 16_000)
    assert ratio.denominator <= 1_000
    assert abs(ratio * 44_101 / 16_000 - 1) < 1e-3


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100])
def test_recordings_are_resampled_as_in_training(rate):
    samples = np.random.default_rng(0).normal(0, 0.1, 5_000).astype(np.float32)
    resampled = resample(torch.from_numpy(samples), resampling_ratio(rate, 16_000)).numpy()
    np.testing.assert_allclose(resampled, training_resample(samples, rate), atol=1e-4)


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 250, 1_003])
@pytest.mark.parametrize("block", [1, 37, 100, 5_000])
def test_windows_are_short_and_join_to_the_recording(size, block):
    recording = np.random.default_rng(0).normal(0, 0.1, size).astype(np.float32)
    recorded = [recording[start : start + block] for start in range(0, size, block)]
    pieces = list(windows(recorded, longest=100, search=40, pause=8))
    assert all(0 < len(piece) <= 100 for piece in pieces)
    assert all(len(piece) >= 60 for piece in pieces[:-1])
    np.testing.assert_array_equal(np.concatenate([*pieces, recording[:0]]), recording)


def test_recordings_are_cut_in_the_middle_of_a_pause():
    recording = np.ones(150, np.float32)
    recording[70:80] = 0
    assert [len(piece) for piece in windows([recording], longest=100, search=40, pause=10)] == [75, 75]
