"""Joint CTC and attention decoding (Watanabe et al. 2017): a beam search over labels that both have a say in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from allinone.decoding.decoder import Decode, Heard, Hypothesis, diverged
from allinone.decoding.search import Found, Limits, Weighted, search
from allinone.decoding.sources import AttentionSource, CtcSource
from allinone.text import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Joint:
    """The best text by ``(1 - ctc_weight) * log p_attention + ctc_weight * log p_ctc + length_bonus * labels``.

    Of all texts, if the beam is large enough: every label is tried after every hypothesis. A score that does not count
    (at a ``ctc_weight`` of 0 or 1) is not computed: at 1 the network needs no attention decoder. A beam of 1 at 0 is
    greedy.

    Args:
        beam_size: hypotheses that are kept after each label.
        ctc_weight: how much the CTC output counts, from 0 (the attention decoder alone) to 1 (the CTC output alone).
        length_bonus: added for every label: more of it, longer texts.
        max_ratio: labels of a text at most, as a ratio to the frames; at least one label is allowed.
        min_ratio: labels of a text at least. If no text that long is possible, nothing is heard.
        nbest: hypotheses that are given, at most.
        max_repeats: how many times a run of up to 10 labels may stand in a row in a text: a guard against loops, in
            which attention decoders can be caught. None is no guard.
        min_confidence: the least mean log probability of a label by the attention decoder, the end included, at which a
            text counts as speech; a hypothesis below has the empty text, and keeps its scores. None is no guard.

    Raises:
        ValueError: if a setting is out of range; on decoding, if the network lacks an attention decoder or a CTC output
            that counts, or has diverged.
    """

    beam_size: int
    ctc_weight: float
    length_bonus: float = 0.0
    max_ratio: float = 1.0
    min_ratio: float = 0.0
    nbest: int = 1
    max_repeats: int | None = None
    min_confidence: float | None = None

    def __post_init__(self) -> None:
        for name in ("beam_size", "nbest"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number above 0; found {getattr(self, name)}. Correct it.")
        if not (0 <= self.ctc_weight <= 1 and math.isfinite(self.length_bonus)):
            raise ValueError(
                "ctc_weight must be a number from 0 to 1 and length_bonus a number; found "
                f"ctc_weight={self.ctc_weight} and length_bonus={self.length_bonus}. Correct them."
            )
        if not (0 <= self.min_ratio <= self.max_ratio <= 1 and self.max_ratio > 0):
            raise ValueError(
                "Ratios of labels to frames must be 0 <= min_ratio <= max_ratio <= 1, and max_ratio above 0; found "
                f"min_ratio={self.min_ratio} and max_ratio={self.max_ratio}. Correct them."
            )
        if self.max_repeats is not None and not (isinstance(self.max_repeats, int) and self.max_repeats > 0):
            raise ValueError(
                f"max_repeats must be a whole number above 0, or none (null); found {self.max_repeats}. Correct it."
            )
        if self.min_confidence is not None and not (-math.inf < self.min_confidence <= 0 and self.ctc_weight < 1):
            raise ValueError(
                "min_confidence must be a log probability, at most 0, of an attention decoder that counts (ctc_weight "
                f"below 1), or none (null); found min_confidence={self.min_confidence} and "
                f"ctc_weight={self.ctc_weight}. Correct one of them."
            )

    def build(self, tokenizer: Tokenizer) -> Decode:
        """The decoder for these labels."""
        return lambda heard: hypotheses(self.search(heard), tokenizer)

    def search(self, heard: Heard, most_labels: int | None = None) -> list[list[Found]]:
        """For each utterance its best texts as labels; none for one without frames.

        ``most_labels`` limits them besides ``max_ratio`` and what an attention decoder that counts can spell.
        """
        if heard.log_probs is not None:
            frames = torch.arange(heard.log_probs.shape[1], device=heard.lengths.device) < heard.lengths[:, None]
            if heard.log_probs.isnan().any(-1)[frames].any():
                raise diverged()
        found: list[list[Found]] = [[] for _ in range(len(heard.lengths))]
        spoken = heard.lengths.nonzero()[:, 0]
        if len(spoken):
            best = self._search(heard.keep(spoken), most_labels)
            for utterance, texts in zip(spoken.tolist(), best, strict=True):
                found[utterance] = [self._if_confident(text) for text in texts]
        return found

    def _search(self, heard: Heard, most_labels: int | None) -> list[list[Found]]:
        frames = heard.lengths.double()
        most = (frames * self.max_ratio).long().clamp(1, most_labels)
        sources = {}
        if self.ctc_weight < 1:
            speller = heard.required_speller()
            most = most.clamp(max=speller.most_labels) if speller.most_labels is not None else most
            sources["attention"] = Weighted(1 - self.ctc_weight, AttentionSource.start(speller, heard))
        if self.ctc_weight > 0:
            sources["ctc"] = Weighted(self.ctc_weight, CtcSource.start(heard))
        return search(
            sources,
            Limits((frames * self.min_ratio).long(), most),
            beam_size=self.beam_size,
            length_bonus=self.length_bonus,
            nbest=self.nbest,
            max_repeats=self.max_repeats,
        )

    def _if_confident(self, text: Found) -> Found:
        """The text, or none where the attention decoder is too unsure of it."""
        if self.min_confidence is None:
            return text
        confident = text.scores["attention"] / (len(text.labels) + 1) >= self.min_confidence
        return text if confident else replace(text, labels=())


def hypotheses(found: Sequence[Sequence[Found]], tokenizer: Tokenizer) -> list[list[Hypothesis]]:
    """Texts of each utterance as the tokenizer writes them; an empty one where there are none."""
    return [
        [Hypothesis(tokenizer.decode(text.labels), text.scores) for text in texts] or [Hypothesis("")]
        for texts in found
    ]
