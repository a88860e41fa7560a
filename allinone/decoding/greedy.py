"""Greedy decoding: the best label of every frame, repetitions merged, blanks removed; or the best next label."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from allinone.decoding.decoder import Decode, Heard, Hypothesis, ctc_path_scores
from allinone.decoding.joint import Joint
from allinone.text import Tokenizer

_SPELT = Joint(beam_size=1, ctc_weight=0.0, max_repeats=5)  # as decoder=attention_greedy


@dataclass(frozen=True)
class Greedy:
    """The text of the single best path; what training watches.

    Where the network has no CTC output, the best next label by its attention decoder, again and again until it ends.
    """

    def build(self, tokenizer: Tokenizer) -> Decode:
        """The decoder for these labels."""
        spell = _SPELT.build(tokenizer)

        def decode(heard: Heard) -> Sequence[Sequence[Hypothesis]]:
            if heard.log_probs is None:
                return spell(heard)
            labels = ctc_greedy(heard.log_probs, heard.lengths)
            scores = ctc_path_scores(heard.log_probs, heard.lengths).tolist()
            return [
                [Hypothesis(tokenizer.decode(best), {"total": score, "ctc": score})]
                for best, score in zip(labels, scores, strict=True)
            ]

        return decode


def ctc_greedy(log_probs: Tensor, lengths: Tensor, blank: int = 0) -> list[list[int]]:
    """Labels of the single best path of every utterance (Graves et al. 2006, best path decoding).

    Args:
        log_probs: ``(batch, time, vocab)``, in any monotone scale (logits serve too).
        lengths: ``(batch,)`` valid frames of each utterance; what lies behind them is ignored.
        blank: the label that separates repetitions.

    Returns:
        A list of labels per utterance, blanks not included.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    if log_probs.dim() != 3 or lengths.shape != log_probs.shape[:1]:
        raise ValueError(
            "ctc_greedy requires log_probs (batch, time, vocab) and lengths (batch,), found "
            f"{tuple(log_probs.shape)} and {tuple(lengths.shape)}; pass both for the same batch"
        )
    best = log_probs.argmax(dim=-1)
    valid = torch.arange(best.shape[1], device=best.device) < lengths.to(best.device)[:, None]
    before = torch.nn.functional.pad(best[:, :-1], (1, 0), value=blank) if best.shape[1] else best
    kept = valid & (best != blank) & (best != before)
    labels = best[kept].tolist()
    ends = kept.sum(dim=1).cumsum(dim=0).tolist()
    return [labels[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
