"""Beam search for CTC: over labels alone, or over the words of an n-gram."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.functional import pad

from allinone.decoding.arpa import arpa_words
from allinone.decoding.decoder import Decode, Heard, Hypothesis, diverged
from allinone.decoding.flashlight import beam_search
from allinone.decoding.lexicon import spell
from allinone.text import Tokenizer

_NEVER = -1e4  # a log probability that no beam survives, and with which sums are still exact enough


@dataclass(frozen=True, kw_only=True)
class Beam:
    """The most probable labels, all their alignments added up (Graves et al. 2006, prefix search); no language model.

    Args:
        beam_size: hypotheses that are kept after each frame.
        beam_threshold: a hypothesis this much worse than the best is dropped, as a difference of natural logarithms.

    Raises:
        ValueError: if a setting is out of range; on ``build``, if flashlight-text is missing; on decoding, if the
            network has no CTC output, or has diverged.
    """

    beam_size: int
    beam_threshold: float

    def __post_init__(self) -> None:
        _check_beam(self.beam_size, self.beam_threshold)

    def build(self, tokenizer: Tokenizer) -> Decode:
        """The decoder for these labels."""
        search = beam_search(tokenizer.vocab_size, beam_size=self.beam_size, beam_threshold=self.beam_threshold)

        def decode(heard: Heard) -> list[list[Hypothesis]]:
            found = search(heard.required_log_probs().float().cpu().contiguous(), heard.lengths.cpu())
            return [[_hypothesis(tokenizer.decode(best.tokens.tolist()), best)] for best in _best(found)]

        return decode


@dataclass(frozen=True, kw_only=True)
class NgramBeam:
    """The best words of an n-gram, no others.

    Best is the largest ``log p(words | audio) + lm_weight * log10 p(words) + word_score * number of words``, the first
    with all alignments added up, the second of the whole sentence, its end included (Hannun et al. 2014).

    Args:
        ngram: an ARPA file (also compressed with gzip) of words as the training transcripts write them; words that it
            does not list are never heard.
        lm_weight: how much the n-gram counts, at least 0.
        word_score: added for every word: more of it, more words.
        beam_size: hypotheses that are kept after each frame.
        beam_threshold: a hypothesis this much worse than the best is dropped.

    Raises:
        ValueError: if a setting is out of range; on ``build``, if flashlight-text or the file is missing, or the file
            is no n-gram, or one of words that the tokenizer cannot write; on decoding, if the network has no CTC
            output, or has diverged.
    """

    ngram: str
    lm_weight: float
    word_score: float
    beam_size: int
    beam_threshold: float

    def __post_init__(self) -> None:
        _check_beam(self.beam_size, self.beam_threshold)
        if not (0 <= self.lm_weight < math.inf and math.isfinite(self.word_score)):
            raise ValueError(
                "lm_weight must be a number of at least 0 and word_score a number; found "
                f"lm_weight={self.lm_weight} and word_score={self.word_score}. Correct them."
            )

    def build(self, tokenizer: Tokenizer) -> Decode:
        """The decoder for these labels."""
        lexicon = spell(arpa_words(Path(self.ngram)), tokenizer)
        search = beam_search(
            tokenizer.vocab_size,
            lexicon=lexicon,
            arpa=Path(self.ngram),
            lm_weight=self.lm_weight,
            word_score=self.word_score,
            beam_size=self.beam_size,
            beam_threshold=self.beam_threshold,
        )

        def decode(heard: Heard) -> list[list[Hypothesis]]:
            log_probs = heard.required_log_probs().float().cpu()
            found = search(*_emissions(log_probs, heard.lengths.cpu(), lexicon.separator))
            return [[_hypothesis(lexicon.text(best.words, tokenizer), best)] for best in _best(found)]

        return decode


def _emissions(log_probs: Tensor, lengths: Tensor, separator: int | None) -> tuple[Tensor, Tensor]:
    """What the search is given: the last word, too, must end.

    Where a separator ends a word, every utterance gets one more frame, which is a separator for certain: ``(batch, time
    + 1, vocab)``. Otherwise there is one more label, which is never heard: ``(batch, time, vocab + 1)``.
    """
    if separator is None:
        return pad(log_probs, (0, 1), value=_NEVER), lengths
    longer = pad(log_probs, (0, 0, 0, 1), value=_NEVER)
    last = range(len(lengths)), lengths.tolist()
    longer[last] = _NEVER
    longer[*last, separator] = 0.0
    return longer, lengths + 1


def _hypothesis(text: str, found: Any) -> Hypothesis:
    return Hypothesis(text, {"total": float(found.score)})


def _best(found: Iterable[Sequence[Any]]) -> Iterator[Any]:
    for hypotheses in found:
        if not hypotheses:  # nothing compares with NaN
            raise diverged()
        yield hypotheses[0]


def _check_beam(beam_size: int, beam_threshold: float) -> None:
    if not isinstance(beam_size, int) or beam_size < 1 or not beam_threshold > 0:
        raise ValueError(
            "A beam must keep a whole number of hypotheses, within a threshold above 0; found "
            f"beam_size={beam_size} and beam_threshold={beam_threshold}. Correct them."
        )
