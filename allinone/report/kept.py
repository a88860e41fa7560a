"""What a network keeps of a forward pass for the backward pass, in bytes, from its sizes alone.

Counted is what the operations of PyTorch save: the inputs of linear maps, convolutions, norms and activation functions,
and what attention saves. Norms save their inputs in 32 bits; of a frame that three linear maps take, mixed precision
makes three copies.
"""

from dataclasses import dataclass

from allinone.layers.feature_extractor import convolved
from allinone.models import ConformerLayout, Layout, SpectrogramLayout, TransformerLayout, WaveformLayout
from allinone.subnet import LayerConfig

_FULL = 4  # bytes


@dataclass(frozen=True)
class Arithmetic:
    """In what a network computes.

    Args:
        mixed: whether products are in 16 bits.
        on_gpu: whether on a GPU, whose dropout keeps a byte where a processor's keeps four.
    """

    mixed: bool
    on_gpu: bool

    @property
    def product(self) -> int:
        """Bytes of what a linear map takes and gives."""
        return 2 if self.mixed else _FULL

    def mask(self, dropout: float) -> int:
        """Bytes that dropout keeps of each activation."""
        return 0 if not dropout else 1 if self.on_gpu else _FULL

    def normed(self, dim: int, maps: int = 1) -> int:
        """Bytes of a frame before a norm and of what so many linear maps take of it afterwards."""
        return dim * (_FULL + (2 * maps if self.mixed else _FULL))


def kept_by_layer(layout: Layout, layer: LayerConfig, time: int, arithmetic: Arithmetic, utterances: int = 1) -> float:
    """Bytes that a layer keeps of each frame.

    Args:
        layout: the network.
        layer: which part of it the layer is.
        time: frames of each utterance, to which attention attends.
        arithmetic: in what it computes.
        utterances: of the batch.

    Raises:
        TypeError: for a layout whose activations nobody has counted.
    """
    heads = layout.num_heads if layer.heads is None else layer.heads
    if isinstance(layout, TransformerLayout):
        inner, dim, product = heads * layout.head_size, layout.dim, arithmetic.product
        norms = arithmetic.normed(dim, maps=3) + arithmetic.normed(dim)
        attention = 4 * inner * product + heads * _FULL  # queries, keys, values, what is attended to; log-sum-exp
        if layout.buckets is not None:  # what gates hear, scores, and the biases that all utterances share
            attention += inner * product + heads * time * (product if arithmetic.on_gpu else _FULL)
            attention += heads * time * _FULL / utterances
        masks = (2 * dim + layer.width) * arithmetic.mask(layout.dropout)
        return norms + attention + 2 * layer.width * product + masks
    if isinstance(layout, ConformerLayout):
        return _kept_by_conformer(layout, layer.width, heads, time, arithmetic)
    raise TypeError(f"the activations of {type(layout).__name__} are not counted")


def _kept_by_conformer(layout: ConformerLayout, width: int, heads: int, time: int, arithmetic: Arithmetic) -> float:
    inner, dim, product = heads * layout.head_size, layout.dim, arithmetic.product
    feed_forward = arithmetic.normed(dim) + 2 * width * product
    attention = arithmetic.normed(dim, maps=3) + 4 * inner * product
    if layout.positions == "relative":  # queries of positions, two positions for each frame, and scores
        attention += 3 * inner * product + heads * time * (product if arithmetic.on_gpu else _FULL)
    else:
        attention += heads * _FULL
    convolution = arithmetic.normed(dim) + 3 * dim * product + dim * (2 * _FULL + product)
    if layout.convolution_norm == "batch":
        convolution += dim * _FULL
    masks = (2 * width + 4 * dim) * arithmetic.mask(layout.dropout)
    return 2 * feed_forward + attention + convolution + dim * _FULL + masks


def front_end_bytes(layout: Layout, samples: int, frames: int, utterances: int, arithmetic: Arithmetic) -> "FrontEnd":
    """What the front end needs for a batch.

    Args:
        layout: the network.
        samples: of each utterance.
        frames: feature frames of each utterance.
        utterances: of the batch.
        arithmetic: in what it computes.
    """
    product, mask, dim = arithmetic.product, arithmetic.mask(layout_dropout(layout)), layout.dim
    time = layout.frames(frames)
    output = time * dim * (2 * product + mask)  # what it gives, and its gradient
    if isinstance(layout, ConformerLayout):
        channels, bands = layout.subsampling_channels, layout.bands
        first = ((frames - 1) // 2) * ((bands - 1) // 2) * channels * product
        second = time * (((bands - 1) // 2 - 1) // 2) * channels * product
        kept = first + second * (3 if layout.separable_subsampling else 2) + output
        return FrontEnd(utterances * kept, utterances * first)
    assert isinstance(layout, TransformerLayout)
    if isinstance(layout.front_end, SpectrogramLayout):
        kept = frames * dim * product * 2 + time * dim * product * 2 + output
        return FrontEnd(utterances * kept, utterances * frames * dim * product)
    inside, most = _extractor(layout.front_end, samples, arithmetic)
    channels = layout.front_end.channels[-1]
    positions = (layout.front_end.position_layers or 1) * dim * (2 * product + (_FULL if layout.norm_first else 0))
    kept = time * (arithmetic.normed(channels) + positions + dim * (mask + _FULL)) + output
    return FrontEnd(utterances * (kept + (0 if layout.front_end.frozen else inside)), utterances * most)


@dataclass(frozen=True)
class FrontEnd:
    """Bytes that a front end needs.

    Args:
        kept: until the step ends.
        passing: besides, while it computes.
    """

    kept: float
    passing: float


def _extractor(front_end: WaveformLayout, samples: int, arithmetic: Arithmetic) -> tuple[float, float]:
    """Bytes that the convolutions over samples keep if they are trained, and the most that they need at once."""
    inside, most, before = 0.0, 0.0, 0.0
    for index, (channels, kernel, stride) in enumerate(
        zip(front_end.channels, front_end.kernels, front_end.strides, strict=True)
    ):
        samples = convolved(samples, kernel, stride)
        size = samples * channels
        normed = front_end.norm == "layer" or index == 0
        now = size * (arithmetic.product + (2 * _FULL if normed else arithmetic.product))  # before, in and after a norm
        most = max(most, before + now)
        inside += now
        before = size * (_FULL if normed else arithmetic.product)
    return inside, most


def layout_dropout(layout: Layout) -> float:
    """The probability of dropout in a network."""
    return layout.dropout if isinstance(layout, (ConformerLayout, TransformerLayout)) else 0.0
