"""What a decoder is: settings that, for a tokenizer, build a function from what a network heard to texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from allinone.text import Tokenizer


class Spelling(Protocol):
    """Where a speller stands with each of its hypotheses."""

    def select(self, parents: Tensor) -> "Spelling":
        """With other hypotheses in place of these: ``(batch, hypotheses)`` numbers of those that they continue."""
        ...

    def keep(self, utterances: Tensor) -> "Spelling":
        """With those of some utterances only."""
        ...


class Speller(Protocol):
    """An attention decoder: spells an utterance label by label. Label 0, which no text holds, begins and ends it."""

    @property
    def most_labels(self) -> int | None:
        """Labels of a text that it can spell to its end, at most; None if there is no limit."""
        ...

    def start(self, encoded: Tensor, lengths: Tensor) -> Any:
        """A :class:`Spelling` with one empty hypothesis for each utterance.

        Args:
            encoded: ``(batch, time, dim)``.
            lengths: valid frames, ``(batch,)``.
        """
        ...

    def step(self, labels: Tensor, spelling: Any) -> tuple[Tensor, Any]:
        """What may follow.

        Args:
            labels: the newest label of each hypothesis, ``(batch, hypotheses)``; 0 at the start.
            spelling: where it stood before them.

        Returns:
            Log probabilities of the next label, ``(batch, hypotheses, vocab)``, those of label 0 being the end's; and
            the :class:`Spelling` with these labels.
        """
        ...

    def __call__(self, encoded: Tensor, lengths: Tensor, labels: Tensor) -> Tensor:
        """The log probabilities of each label after those before it, and of what follows the last.

        Args:
            encoded: ``(batch, time, dim)``.
            lengths: valid frames, ``(batch,)``.
            labels: ``(batch, labels)``.

        Returns:
            ``(batch, labels + 1, vocab)`` in float32.
        """
        ...


@dataclass(frozen=True)
class Heard:
    """What a network makes of a batch before it is decoded.

    Args:
        log_probs: of the CTC output, ``(batch, time, vocab)`` in float32, in mixed precision too; blank is label 0.
            None if the network has none.
        lengths: valid frames, ``(batch,)``.
        encoded: the frames themselves, ``(batch, time, dim)``.
        speller: the attention decoder that can spell them, with the weights of the same member; None if the network has
            none.
    """

    log_probs: Tensor | None
    lengths: Tensor
    encoded: Tensor
    speller: Speller | None = None

    def keep(self, utterances: Tensor) -> "Heard":
        """That of some utterances only."""
        return replace(
            self,
            log_probs=None if self.log_probs is None else self.log_probs[utterances],
            lengths=self.lengths[utterances],
            encoded=self.encoded[utterances],
        )

    def required_log_probs(self) -> Tensor:
        """The log probabilities of the CTC output. Raises NoCtc if there is none."""
        if self.log_probs is None:
            raise NoCtc(
                "This way of decoding requires a network with a CTC output; found one without. Choose "
                "decoder=attention_greedy or decoder=attention."
            )
        return self.log_probs

    def required_speller(self) -> Speller:
        """The attention decoder. Raises NoSpeller if there is none."""
        if self.speller is None:
            raise NoSpeller(
                "This way of decoding requires a network with an attention decoder; found one without. Train one with "
                "attention=decoder_small, or choose decoder=greedy, or decoder=joint with decoder.ctc_weight=1."
            )
        return self.speller


class NoSpeller(ValueError):
    """A decoder was chosen that the network cannot serve: no recording will do."""


class NoCtc(ValueError):
    """The same, for want of a CTC output."""


def diverged() -> ValueError:
    """What a search raises where it meets NaN, with which nothing compares."""
    return ValueError(
        "A beam search requires log probabilities; found NaN among them. The network has diverged: take an earlier "
        "checkpoint."
    )


@dataclass(frozen=True)
class Hypothesis:
    """One text of an utterance.

    Args:
        text: what was said, perhaps.
        scores: natural logarithms by name: ``total`` is what hypotheses are ranked by; the others, such as ``ctc`` and
            ``attention``, are what it is made of.
    """

    text: str
    scores: Mapping[str, float] = field(default_factory=dict)


# for each utterance its hypotheses, the best first
Decode = Callable[[Heard], Sequence[Sequence[Hypothesis]]]


class Decoder(Protocol):
    """Settings of a way of decoding: a frozen dataclass."""

    def build(self, tokenizer: Tokenizer) -> Decode:
        """The decoder for these labels. Raises ValueError if something that it needs is missing or does not fit."""
        ...


def ctc_path_scores(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """The log probability of each utterance's single best path, ``(batch,)``."""
    best = log_probs.max(-1).values
    valid = torch.arange(best.shape[1], device=best.device) < lengths.to(best.device)[:, None]
    return best.masked_fill(~valid, 0).sum(1)
