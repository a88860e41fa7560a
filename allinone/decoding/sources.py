"""What a beam search listens to: sources of probabilities of texts, which grow label by label."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from allinone.decoding.ctc_prefix import Prefixes, PrefixScorer
from allinone.decoding.decoder import Heard, Speller, Spelling


class Source(Protocol):
    """What one source says to the hypotheses of each utterance.

    Attributes:
        scores: log probabilities in float64 of each hypothesis with one more label, ``(batch, hypotheses, vocab)``;
            with label 0 those of the hypothesis as the whole text. No continuation is more probable.
    """

    @property
    def scores(self) -> Tensor: ...

    def after(self, parents: Tensor, labels: Tensor) -> "Source":
        """Says it to other hypotheses: those numbered ``parents`` with ``labels``, both ``(batch, hypotheses)``."""
        ...

    def keep(self, utterances: Tensor) -> "Source":
        """Says it to those of some utterances only."""
        ...


@dataclass(frozen=True)
class AttentionSource:
    """What an attention decoder says.

    Args:
        speller: the decoder.
        spelling: where it stands.
        scores: see :class:`Source`.
    """

    speller: Speller
    spelling: Spelling
    scores: Tensor

    @classmethod
    def start(cls, speller: Speller, heard: Heard) -> "AttentionSource":
        """To one empty hypothesis of each utterance."""
        first = torch.zeros_like(heard.lengths)[:, None]
        log_probs, spelling = speller.step(first, speller.start(heard.encoded, heard.lengths))
        return cls(speller, spelling, log_probs.double())

    def after(self, parents: Tensor, labels: Tensor) -> "AttentionSource":
        before = self.scores.flatten(1).gather(1, parents * self.scores.shape[-1] + labels)
        log_probs, spelling = self.speller.step(labels, self.spelling.select(parents))
        return AttentionSource(self.speller, spelling, before[..., None] + log_probs.double())

    def keep(self, utterances: Tensor) -> "AttentionSource":
        return AttentionSource(self.speller, self.spelling.keep(utterances), self.scores[utterances])


@dataclass(frozen=True)
class CtcSource:
    """What the CTC output says.

    Args:
        scorer: of prefixes.
        prefixes: the hypotheses.
        scores: see :class:`Source`.
    """

    scorer: PrefixScorer
    prefixes: Prefixes
    scores: Tensor

    @classmethod
    def start(cls, heard: Heard) -> "CtcSource":
        """To one empty hypothesis of each utterance."""
        scorer = PrefixScorer(heard.required_log_probs(), heard.lengths)
        return cls(scorer, prefixes := scorer.start(), scorer.scores(prefixes))

    def after(self, parents: Tensor, labels: Tensor) -> "CtcSource":
        prefixes = self.scorer.extend(self.prefixes, parents, labels)
        return CtcSource(self.scorer, prefixes, self.scorer.scores(prefixes))

    def keep(self, utterances: Tensor) -> "CtcSource":
        return CtcSource(self.scorer.keep(utterances), self.prefixes.keep(utterances), self.scores[utterances])
