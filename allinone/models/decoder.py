"""The attention decoder (Transformer, Vaswani et al. 2017): its cache, and its layout as a value."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from allinone.layers import FeedForward, KeysValues, LabelAttention, padding_mask
from allinone.layers.axes import inside
from allinone.layers.dropout import Dropout
from allinone.models.inventory import Inventory
from allinone.subnet import LayerConfig, TensorSpec

BOUNDARY = 0  # the label that begins and ends a text; the CTC output has its blank there


class LabelEmbedding(nn.Module):
    """Labels and their places.

    Args:
        vocab_size: number of labels.
        dim: model dimension; even.
        dropout: probability.
    """

    def __init__(self, vocab_size: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.labels = nn.Embedding(vocab_size, dim)
        nn.init.normal_(self.labels.weight, std=dim**-0.5)
        self.dropout = Dropout(dropout)

    def forward(self, labels: Tensor, start: int = 0) -> Tensor:
        """``(batch, labels)``, the first of which has the place ``start``, to ``(batch, labels, dim)``."""
        x = self.labels(labels)
        dim = x.shape[-1]
        places = torch.arange(start, start + labels.shape[1], device=labels.device)
        rates = torch.exp(torch.arange(0, dim, 2, device=labels.device) * (-math.log(10_000.0) / dim))
        angles = places[:, None] * rates
        return self.dropout(x * math.sqrt(dim) + torch.cat((angles.sin(), angles.cos()), -1).to(x.dtype))


class DecoderLayer(nn.Module):
    """Self-attention, attention to the frames and a feed-forward module, each behind a norm (pre-norm).

    Args:
        dim: model dimension.
        width: hidden units of the feed-forward module.
        num_heads: attention heads.
        dropout: probability.
    """

    axes = MappingProxyType(inside("feed_forward", FeedForward.axes))

    def __init__(self, dim: int, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = LabelAttention(dim, num_heads, dropout)
        self.cross_attention = LabelAttention(dim, num_heads, dropout)
        self.feed_forward = FeedForward(dim, width, dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.cross_attention_norm = nn.LayerNorm(dim)
        self.feed_forward_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, encoded: Tensor, valid: Tensor, dropout: float | Tensor = 1.0) -> Tensor:
        """All labels at once: ``(batch, labels, dim)`` to the same.

        ``valid`` and ``dropout`` are as in :class:`LabelAttention`.
        """
        normed = self.attention_norm(x)
        x = x + self.attention(normed, self.attention.keys_values(normed), causal=True, dropout=dropout)
        return self._attend(x, self.cross_attention.keys_values(encoded), valid, dropout)

    def step(self, x: Tensor, memory: KeysValues, valid: Tensor, past: KeysValues | None) -> tuple[Tensor, KeysValues]:
        """The newest label of each hypothesis: ``(batch, hypotheses, dim)`` to the same.

        The hypotheses of an utterance share its frames, and none sees another's labels.
        """
        newest = self.attention_norm(x).flatten(0, 1)[:, None]
        present = self.attention.keys_values(newest).after(past)
        return self._attend(x + self.attention(newest, present).view_as(x), memory, valid), present

    def _attend(self, x: Tensor, memory: KeysValues, valid: Tensor, dropout: float | Tensor = 1.0) -> Tensor:
        x = x + self.cross_attention(self.cross_attention_norm(x), memory, valid, dropout=dropout)
        return x + self.feed_forward(self.feed_forward_norm(x), dropout)


class DecoderOutput(nn.Module):
    """The last norm, and the scores of all labels."""

    def __init__(self, dim: int, vocab_size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.linear = nn.Linear(dim, vocab_size)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, labels, dim)`` to log probabilities ``(batch, labels, vocab)`` in float32."""
        return self.linear(self.norm(x)).log_softmax(-1, torch.float32)


@dataclass(frozen=True)
class DecoderState:
    """Where a decoder stands in the middle of a search; a :class:`allinone.decoding.Spelling`.

    Args:
        memory: of each layer, the keys and values of the frames.
        valid: ``(batch, 1, 1, time)``, False at padding.
        past: of each layer, the keys and values of the labels so far, ``(batch * hypotheses, heads, labels,
            head_dim)``.
        length: number of labels so far.
    """

    memory: tuple[KeysValues, ...]
    valid: Tensor
    past: tuple[KeysValues, ...] | None = None
    length: int = 0

    def select(self, parents: Tensor) -> "DecoderState":
        """With other hypotheses in place of these: ``(batch, hypotheses)`` numbers of those that they continue."""
        if self.past is None:
            return self
        batch = len(parents)
        before = self.past[0].keys.shape[0] // batch
        rows = (parents + before * torch.arange(batch, device=parents.device)[:, None]).flatten()
        return replace(self, past=tuple(KeysValues(keys[rows], values[rows]) for keys, values in self.past))

    def keep(self, utterances: Tensor) -> "DecoderState":
        """With those of some utterances only."""
        batch = len(self.valid)

        def kept(x: Tensor) -> Tensor:
            return x.unflatten(0, (batch, -1))[utterances].flatten(0, 1)

        memory = tuple(KeysValues(kept(keys), kept(values)) for keys, values in self.memory)
        past = self.past and tuple(KeysValues(kept(keys), kept(values)) for keys, values in self.past)
        return replace(self, memory=memory, valid=self.valid[utterances], past=past)


class TransformerDecoder(nn.Module):
    """Spells encoded frames, label by label; a :class:`allinone.decoding.Speller`.

    Args:
        embedding: of labels.
        layers: between both.
        output: from the last layer to log probabilities.
    """

    most_labels: int | None = None  # places are computed, for texts of any length

    def __init__(self, embedding: LabelEmbedding, layers: Sequence[DecoderLayer], output: DecoderOutput) -> None:
        super().__init__()
        self.embedding, self.layers, self.output = embedding, nn.ModuleList(layers), output

    def forward(self, encoded: Tensor, lengths: Tensor, labels: Tensor) -> Tensor:
        """Log probabilities of each label after those before it, and of what follows the last (teacher forcing).

        Args:
            encoded: ``(batch, time, dim)``.
            lengths: valid frames, ``(batch,)``.
            labels: ``(batch, labels)``.

        Returns:
            ``(batch, labels + 1, vocab)`` in float32.
        """
        valid = valid_frames(lengths, encoded.shape[1])
        x = self.embedding(after_boundary(labels))
        for layer in self.layers:
            x = layer(x, encoded, valid)
        return self.output(x)

    def start(self, encoded: Tensor, lengths: Tensor) -> DecoderState:
        """One empty hypothesis for each utterance; arguments as in :meth:`forward`."""
        memory = tuple(layer.cross_attention.keys_values(encoded) for layer in self._layers())
        return DecoderState(memory, valid_frames(lengths, encoded.shape[1]))

    def step(self, labels: Tensor, spelling: DecoderState) -> tuple[Tensor, DecoderState]:
        """What may follow the newest labels ``(batch, hypotheses)``: ``(batch, hypotheses, vocab)``, and the state."""
        x = self.embedding(labels.flatten()[:, None], spelling.length).view(*labels.shape, -1)
        past: Sequence[KeysValues | None] = spelling.past or [None] * len(self.layers)
        present = []
        for layer, memory, before in zip(self._layers(), spelling.memory, past, strict=True):
            x, now = layer.step(x, memory, spelling.valid, before)
            present.append(now)
        return self.output(x), replace(spelling, past=tuple(present), length=spelling.length + 1)

    def _layers(self) -> Iterator[DecoderLayer]:
        for layer in self.layers:
            assert isinstance(layer, DecoderLayer)
            yield layer


def after_boundary(labels: Tensor) -> Tensor:
    """What the decoder is given to predict ``(batch, labels)`` and the end: ``(batch, labels + 1)``."""
    return nn.functional.pad(labels, (1, 0), value=BOUNDARY)


def valid_frames(lengths: Tensor, time: int) -> Tensor:
    """``(batch, 1, 1, time)``, False at padding."""
    return ~padding_mask(lengths, time)[:, None, None]


@dataclass(frozen=True)
class DecoderLayout:
    """The sizes of an attention decoder; its dimension is that of the encoder.

    Args:
        num_layers: layers of the largest network.
        ffn_dim: feed-forward width of the largest network.
        num_heads: attention heads.
        dropout: probability in training.
    """

    num_layers: int
    ffn_dim: int
    num_heads: int
    dropout: float = 0.1

    @property
    def whole(self) -> tuple[LayerConfig, ...]:
        """All layers at full width and precision: what a member has whose decoder is not in the space."""
        return (LayerConfig(self.ffn_dim),) * self.num_layers

    def build(self, layers: Sequence[LayerConfig], dim: int, vocab_size: int) -> TransformerDecoder:
        """An ordinary decoder with these widths; precision is a matter of its weights."""
        if dim % self.num_heads:
            raise ValueError(
                f"A decoder requires an encoder whose dimension is a multiple of its number of heads; found dim={dim} "
                f"and num_heads={self.num_heads}. Change one of them."
            )
        return TransformerDecoder(
            LabelEmbedding(vocab_size, dim, self.dropout),
            [DecoderLayer(dim, layer.width, self.num_heads, self.dropout) for layer in layers],
            DecoderOutput(dim, vocab_size),
        )

    def tensors(self, layers: Sequence[LayerConfig], dim: int, vocab_size: int) -> Iterator[TensorSpec]:
        """All tensors of such a decoder, as :meth:`build` names them. The papers' rule does not count them.

        Embedding and output have the precision of the first layer. Multiply-accumulates are not counted: they grow
        with the text and with the search.
        """
        edge = Inventory("", layers[0].bits)
        specs = [edge.tensor("embedding.labels.weight", (vocab_size, dim))]
        for index, config in enumerate(layers):
            layer = Inventory(f"layers.{index}", config.bits)
            for attention in ("attention", "cross_attention"):
                for projection in ("query", "key", "value", "output"):
                    specs += layer.weight_and_bias(f"{attention}.{projection}", (dim, dim), 0)
            specs += layer.weight_and_bias("feed_forward.up", (config.width, dim), 0)
            specs += layer.weight_and_bias("feed_forward.down", (dim, config.width), 0)
            for norm in ("attention_norm", "cross_attention_norm", "feed_forward_norm"):
                specs += layer.norm(norm, dim)
        specs += edge.norm("output.norm", dim)
        specs += edge.weight_and_bias("output.linear", (vocab_size, dim), 0)
        for spec in specs:
            yield replace(spec, name=f"decoder.{spec.name.removeprefix('.')}", counted=False)
