"""Features: log-mel energies, their masks, subsampling and padding masks."""

import pytest
import torch
import torchaudio

from allinone.layers import Conv2dSubsampling, LogMel, LogMelSettings, SpecAugment, padding_mask


def test_padding_masks_are_true_at_padding():
    assert padding_mask(torch.tensor([2, 0, 3]), 3).tolist() == [[False, False, True], [True] * 3, [False] * 3]


def test_log_mel_is_torchaudios_with_the_mean_of_each_band_removed():
    waveform = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    spectrogram = torchaudio.transforms.MelSpectrogram(
        16_000, n_fft=400, win_length=400, hop_length=160, f_min=20.0, f_max=8000.0, n_mels=80, center=False
    )
    expected = spectrogram(waveform).clamp(min=1e-8).log().mT
    features, lengths = LogMel(LogMelSettings())(waveform, torch.tensor([16_000]))
    torch.testing.assert_close(features, (expected - expected.mean(1, keepdim=True)) / 3.0, rtol=1e-4, atol=1e-4)
    assert lengths.tolist() == [expected.shape[1]] == [LogMelSettings().frames(16_000)]


def test_features_do_not_depend_on_gain_and_are_zero_at_padding():
    waveforms = 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(0))
    extract, lengths = LogMel(LogMelSettings()), torch.tensor([8_000, 4_000])
    features, frames = extract(waveforms, lengths)
    torch.testing.assert_close(extract(0.5 * waveforms, lengths)[0], features, rtol=1e-3, atol=1e-4)
    assert not features[1, int(frames[1]) :].any()
    assert features[1, : int(frames[1])].any()


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 559, 560, 16_000])
def test_frames_are_counted_as_they_are_computed(samples):
    _, lengths = LogMel(LogMelSettings())(torch.zeros(1, max(1, samples)), torch.tensor([samples]))
    assert int(lengths) == LogMelSettings().frames(samples)


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("time", [7, 8, 9, 10, 11, 12, 50])
def test_subsampling_gives_the_announced_frames(separable, time):
    x, lengths = Conv2dSubsampling(80, 4, 16, separable, 0.0)(torch.randn(2, time, 80), torch.tensor([time, 7]))
    assert x.shape == (2, Conv2dSubsampling.frames(time), 16)
    assert lengths.tolist() == [Conv2dSubsampling.frames(time), 1]
    assert [Conv2dSubsampling.frames(frames) for frames in (0, 3, 6, 7)] == [0, 0, 0, 1]


def masked(seeds, lengths, time=100):
    """Which places of all-ones features are masked."""
    return SpecAugment()(torch.ones(len(seeds), time, 80), torch.tensor(lengths), torch.tensor(seeds)) == 0


def test_masks_depend_only_on_the_seed_and_length_of_the_utterance():
    batch, alone = masked([1, 2, 3], [100, 60, 100]), masked([2], [60], time=60)
    assert torch.equal(batch[1, :60], alone[0])
    assert not torch.equal(batch[0], batch[2])
    torch.manual_seed(1)
    assert torch.equal(masked([1, 2, 3], [100, 60, 100]), batch)


def test_masks_cover_whole_bands_and_whole_frames_up_to_their_largest_widths():
    bands, frames = [], []
    for seed in range(200):
        mask = masked([seed], [100])[0]
        band, frame = mask.all(0), mask.all(1)
        assert torch.equal(mask, band[None] | frame[:, None])
        bands.append(int(band.sum()))
        frames.append(int(frame.sum()))
    assert 27 < max(bands) <= 2 * 27
    assert 20 < max(frames) <= 2 * 20
    assert sum(bands) / 200 == pytest.approx(27, rel=0.15)  # two masks of 13.5 on average, some of it twice


def test_a_time_mask_stays_inside_the_utterance():
    for seed in range(50):
        only_time = SpecAugment(frequency_masks=0)
        features = only_time(torch.ones(1, 100, 80), torch.tensor([50]), torch.tensor([seed]))
        assert features[0, 50:].all()
        assert (features[0, :50, 0] == 0).sum() <= 20
