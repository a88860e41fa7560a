"""The attention decoder (Transformer, Vaswani et al. 2017), and its cache."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from allinone.layers import FeedForward, KeysValues, LabelAttention, padding_mask
from allinone.layers.axes import Axis, inside
from allinone.layers.dropout import Dropout
from allinone.layers.linear import InputRounding, Linear

BOUNDARY = 0  # the label that ends a text, and begins it unless there is a prompt; the CTC output has its blank there


class LabelEmbedding(nn.Module):
    """Labels and their places.

    Args:
        vocab_size: number of labels.
        dim: model dimension; even.
        dropout: probability.
        places: how many places have a vector that is learnt, as Whisper's have (Radford et al. 2022, section 2.2); None
            stands for sinusoids beside labels that are scaled up, which have no end.
    """

    def __init__(self, vocab_size: int, dim: int, dropout: float, places: int | None = None) -> None:
        super().__init__()
        self.labels = nn.Embedding(vocab_size, dim)
        nn.init.normal_(self.labels.weight, std=dim**-0.5)
        self.places = None if places is None else nn.Embedding(places, dim)
        self.dropout = Dropout(dropout)

    def forward(self, labels: Tensor, start: int = 0) -> Tensor:
        """``(batch, labels)``, the first of which has the place ``start``, to ``(batch, labels, dim)``."""
        x = self.labels(labels)
        places = torch.arange(start, start + labels.shape[1], device=labels.device)
        if self.places is not None:
            return self.dropout(x + self.places(places))
        dim = x.shape[-1]
        rates = torch.exp(torch.arange(0, dim, 2, device=labels.device) * (-math.log(10_000.0) / dim))
        angles = places[:, None] * rates
        return self.dropout(x * math.sqrt(dim) + torch.cat((angles.sin(), angles.cos()), -1).to(x.dtype))


class DecoderLayer(nn.Module):
    """Self-attention, attention to the frames and a feed-forward module, each behind a norm (pre-norm).

    Args:
        attention: to the labels before.
        cross_attention: to the frames.
        feed_forward: the feed-forward module.
        dim: model dimension.

    Attributes:
        axes: which dimensions of its parameters have units or heads; both attentions have as many heads.
    """

    def __init__(
        self, attention: LabelAttention, cross_attention: LabelAttention, feed_forward: FeedForward, dim: int
    ) -> None:
        super().__init__()
        self.attention, self.cross_attention, self.feed_forward = attention, cross_attention, feed_forward
        self.attention_norm = nn.LayerNorm(dim)
        self.cross_attention_norm = nn.LayerNorm(dim)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.axes: Mapping[str, Axis] = (
            inside("attention", attention.axes)
            | inside("cross_attention", cross_attention.axes)
            | inside("feed_forward", FeedForward.axes)
        )

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
    """The last norm, and the scores of all labels.

    Args:
        dim: model dimension.
        vocab_size: number of labels.
        tied: whether the scores are products with the labels' embedding (Press & Wolf 2017), so that there are no
            weights here.
    """

    def __init__(self, dim: int, vocab_size: int, tied: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.linear = None if tied else Linear(dim, vocab_size)
        self.rounding = InputRounding() if tied else None

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """``(batch, labels, dim)`` to log probabilities ``(batch, labels, vocab)`` in float32.

        ``embedding`` is that of all labels, ``(vocab, dim)``.
        """
        x = self.norm(x)
        if self.linear is not None:
            return self.linear(x).log_softmax(-1, torch.float32)
        assert self.rounding is not None
        scores = functional.linear(self.rounding(x), embedding)
        return scores.log_softmax(-1, torch.float32)


@dataclass(frozen=True)
class DecoderState:
    """Where a decoder stands in the middle of a search; a :class:`allinone.decoding.Spelling`.

    Args:
        memory: of each layer, the keys and values of the frames.
        valid: ``(batch, 1, 1, time)``, False at padding.
        past: of each layer, the keys and values of the labels so far, ``(batch * hypotheses, heads, labels,
            head_dim)``.
        length: number of labels so far, those of the prompt included.
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
        prompt: the labels that stand before every text.
    """

    def __init__(
        self,
        embedding: LabelEmbedding,
        layers: Sequence[DecoderLayer],
        output: DecoderOutput,
        prompt: tuple[int, ...] = (BOUNDARY,),
    ) -> None:
        super().__init__()
        self.embedding, self.layers, self.output = embedding, nn.ModuleList(layers), output
        self.prompt = prompt

    @property
    def most_labels(self) -> int | None:
        """Labels of the longest text that it can spell; None if there is no longest."""
        places = self.embedding.places
        return None if places is None else places.num_embeddings - len(self.prompt)

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
        x = self.embedding(after_prompt(labels, self.prompt))
        for layer in self.layers:
            x = layer(x, encoded, valid)
        return self.output(x[:, len(self.prompt) - 1 :], self.embedding.labels.weight)

    def start(self, encoded: Tensor, lengths: Tensor) -> DecoderState:
        """One empty hypothesis for each utterance; arguments as in :meth:`forward`."""
        memory = tuple(layer.cross_attention.keys_values(encoded) for layer in self._layers())
        state = DecoderState(memory, valid_frames(lengths, encoded.shape[1]))
        for label in self.prompt[:-1]:
            _, state = self._hidden(torch.full_like(lengths, label)[:, None], state)
        return state

    def step(self, labels: Tensor, spelling: DecoderState) -> tuple[Tensor, DecoderState]:
        """What may follow the newest labels ``(batch, hypotheses)``: ``(batch, hypotheses, vocab)``, and the state."""
        if spelling.length < len(self.prompt):  # nothing is spelt yet
            labels = torch.full_like(labels, self.prompt[-1])
        x, state = self._hidden(labels, spelling)
        return self.output(x, self.embedding.labels.weight), state

    def _hidden(self, labels: Tensor, spelling: DecoderState) -> tuple[Tensor, DecoderState]:
        """What the last layer makes of the newest labels, ``(batch, hypotheses, dim)``."""
        x = self.embedding(labels.flatten()[:, None], spelling.length).view(*labels.shape, -1)
        past: Sequence[KeysValues | None] = spelling.past or [None] * len(self.layers)
        present = []
        for layer, memory, before in zip(self._layers(), spelling.memory, past, strict=True):
            x, now = layer.step(x, memory, spelling.valid, before)
            present.append(now)
        return x, replace(spelling, past=tuple(present), length=spelling.length + 1)

    def _layers(self) -> Iterator[DecoderLayer]:
        for layer in self.layers:
            assert isinstance(layer, DecoderLayer)
            yield layer


def after_prompt(labels: Tensor, prompt: tuple[int, ...]) -> Tensor:
    """What the decoder is given to predict ``(batch, labels)`` and the end: ``(batch, prompt + labels)``."""
    return torch.cat((labels.new_tensor(prompt).expand(len(labels), -1), labels), 1)


def valid_frames(lengths: Tensor, time: int) -> Tensor:
    """``(batch, 1, 1, time)``, False at padding."""
    return ~padding_mask(lengths, time)[:, None, None]
