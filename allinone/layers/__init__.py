"""Ordinary layers; what makes them elastic is in :mod:`allinone.layers.elastic`, which no exported member imports."""

from allinone.layers.attention import Context, RelativeSelfAttention, RotarySelfAttention
from allinone.layers.convolution import ConvolutionModule
from allinone.layers.features import (
    Features,
    FeatureSettings,
    LogMel,
    LogMelSettings,
    WaveformSettings,
    WhisperLogMelSettings,
)
from allinone.layers.feed_forward import FeedForward
from allinone.layers.label_attention import KeysValues, LabelAttention
from allinone.layers.lengths import padding_mask
from allinone.layers.normalization import MaskedBatchNorm
from allinone.layers.spec_augment import SpecAugment, TimeMasks
from allinone.layers.subsampling import Conv2dSubsampling

__all__ = [
    "Context",
    "Conv2dSubsampling",
    "ConvolutionModule",
    "FeatureSettings",
    "Features",
    "FeedForward",
    "KeysValues",
    "LabelAttention",
    "LogMel",
    "LogMelSettings",
    "MaskedBatchNorm",
    "RelativeSelfAttention",
    "RotarySelfAttention",
    "SpecAugment",
    "TimeMasks",
    "WaveformSettings",
    "WhisperLogMelSettings",
    "padding_mask",
]
