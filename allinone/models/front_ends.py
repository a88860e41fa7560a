"""Layouts of the front ends of pretrained encoders: raw audio (wav2vec 2.0 and its kin), or a spectrogram (Whisper)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from allinone.layers.feature_extractor import FeatureExtractor, convolved
from allinone.layers.front_ends import SpectrogramFrontEnd, WaveformFrontEnd
from allinone.layers.positions import ConvolutionalPositions, StackedPositions
from allinone.models.inventory import Inventory
from allinone.subnet import TensorSpec


@dataclass(frozen=True)
class WaveformLayout:
    """The sizes of wav2vec 2.0's front end: convolutions over samples, a projection, convolutional positions.

    Args:
        channels: of each convolution.
        kernels: samples or frames under each.
        strides: of each.
        bias: whether they have biases.
        norm: ``group`` after the first (base layouts), or ``layer`` after each (large ones).
        feature_norm: whether features are normalised before they are projected.
        position_kernel: frames under a convolution that gives positions.
        position_groups: its groups.
        position_layers: how many such convolutions stand one behind the other, each with a norm (data2vec); None is
            one with weight normalisation.
        frozen: whether the convolutions over samples stay as they are in training.
    """

    bands: ClassVar[int] = 1
    ten_seconds: ClassVar[int] = 160_000

    channels: tuple[int, ...] = (512,) * 7
    kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    bias: bool = False
    norm: Literal["group", "layer"] = "group"
    feature_norm: bool = True
    position_kernel: int = 128
    position_groups: int = 16
    position_layers: int | None = None
    frozen: bool = True

    def __post_init__(self) -> None:
        for name in ("channels", "kernels", "strides"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not len(self.channels) == len(self.kernels) == len(self.strides) > 0:
            raise ValueError(
                "The convolutions over samples need as many channels as kernels and strides, at least one each; found "
                f"{len(self.channels)}, {len(self.kernels)} and {len(self.strides)}. Make them equal."
            )
        if self.norm not in ("group", "layer"):
            raise ValueError(f"Their norm is 'group' or 'layer'; found {self.norm!r}. Choose one of the two.")

    def build(self, dim: int, norm: bool, dropout: float) -> WaveformFrontEnd:
        """An ordinary front end for layers of that dimension; ``norm`` says whether it ends with one."""
        if dim % self.position_groups:
            raise ValueError(
                "The model dimension must be a multiple of the groups of the convolution for positions; found "
                f"dim={dim} and position_groups={self.position_groups}. Change one of them."
            )
        extractor = FeatureExtractor(self.channels, self.kernels, self.strides, self.bias, self.norm)
        extractor.requires_grad_(not self.frozen)
        if self.position_layers is None:
            positions = ConvolutionalPositions(dim, self.position_kernel, self.position_groups)
        else:
            positions = StackedPositions(dim, self.position_kernel, self.position_groups, self.position_layers)
        return WaveformFrontEnd(extractor, self.channels[-1], dim, positions, self.feature_norm, norm, dropout)

    def frames(self, samples: int) -> int:
        """Frames of so many samples."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = convolved(samples, kernel, stride)
        return samples

    def tensors(self, part: Inventory, dim: int, norm: bool) -> Iterator[TensorSpec]:
        """All its tensors."""
        size, inputs, frames = self.ten_seconds, 1, self.frames(self.ten_seconds)
        yield part.tensor("masked", (dim,))
        for index, (channels, kernel, stride) in enumerate(zip(self.channels, self.kernels, self.strides, strict=True)):
            size, layer = convolved(size, kernel, stride), f"extractor.layers.{index}"
            yield part.tensor(f"{layer}.convolution.weight", (channels, inputs, kernel), size)
            if self.bias:
                yield part.tensor(f"{layer}.convolution.bias", (channels,))
            if self.norm == "layer" or index == 0:
                yield from part.norm(f"{layer}.norm", channels)
            inputs = channels
        if self.feature_norm:
            yield from part.norm("feature_norm", inputs)
        yield from part.weight_and_bias("projection", (dim, inputs), frames)
        shape = (dim, dim // self.position_groups, self.position_kernel)
        frames += 1 - self.position_kernel % 2  # one more is computed where there is no frame in the middle
        if self.position_layers is None:
            yield part.tensor("positions.direction", shape, frames)
            yield part.tensor("positions.magnitude", (self.position_kernel,))
            yield part.tensor("positions.bias", (dim,))
        for index in range(self.position_layers or 0):
            yield from part.weight_and_bias(f"positions.layers.{index}", shape, frames)
        if norm:
            yield from part.norm("norm", dim)


@dataclass(frozen=True)
class SpectrogramLayout:
    """The sizes of Whisper's front end: two convolutions over the bands of a spectrogram, and sinusoids.

    Args:
        bands: of the spectrogram.
    """

    ten_seconds: ClassVar[int] = 1000

    bands: int = 80

    def build(self, dim: int, norm: bool, dropout: float) -> SpectrogramFrontEnd:
        """An ordinary front end for layers of that dimension."""
        assert not norm, "Whisper's layers begin with their norms"
        return SpectrogramFrontEnd(self.bands, dim, dropout)

    def frames(self, feature_frames: int) -> int:
        """Frames of so many frames of the spectrogram."""
        return (feature_frames + 1) // 2

    def tensors(self, part: Inventory, dim: int, norm: bool) -> Iterator[TensorSpec]:
        """All its tensors."""
        yield from part.weight_and_bias("first", (dim, self.bands, 3), self.ten_seconds)
        yield from part.weight_and_bias("second", (dim, dim, 3), self.frames(self.ten_seconds))
