"""Beam search label by label, over the weighted sum of what several sources say (Watanabe et al. 2017)."""

import math
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from allinone.decoding.decoder import diverged
from allinone.decoding.repeats import forbid_repeats
from allinone.decoding.sources import Source


@dataclass(frozen=True)
class Found:
    """A text.

    Args:
        labels: of it.
        scores: natural logarithms: ``total``, and the log probability by each source.
    """

    labels: tuple[int, ...]
    scores: Mapping[str, float]

    @property
    def total(self) -> float:
        """What it is ranked by."""
        return self.scores["total"]


@dataclass(frozen=True)
class Weighted:
    """A source and its weight, above 0."""

    weight: float
    source: Source


@dataclass(frozen=True)
class Limits:
    """How many labels the text of each utterance has, the least and the most: ``(batch,)`` each."""

    least: Tensor
    most: Tensor


def search(
    sources: Mapping[str, Weighted],
    limits: Limits,
    *,
    beam_size: int,
    length_bonus: float,
    nbest: int,
    max_repeats: int | None = None,
) -> list[list[Found]]:
    """The best texts of each utterance, the best first; none where nothing within the limits is possible.

    In each round every hypothesis grows by a label or ends, and the best ``beam_size`` of all that come out are kept.
    One that cannot become better than the ``nbest`` that have ended is dropped: log probabilities only fall, so what it
    may still gain is the bonus of the labels up to the limit. An utterance without hypotheses takes no part in later
    rounds. (Eq. 50 of the paper guesses from the latest ends that no better ones will come; this is certain.)

    Args:
        sources: by name, at least one.
        limits: of the lengths.
        beam_size: hypotheses that are kept in each round.
        length_bonus: added for every label.
        nbest: how many texts of each utterance, at most.
        max_repeats: how many times a run of up to 10 labels may stand in a row in a text; None for any number.

    Raises:
        ValueError: if a source says NaN.
    """
    found: list[list[Found]] = [[] for _ in range(len(limits.most))]
    utterances = list(range(len(found)))
    texts = limits.most.new_zeros(len(found), 1, 0)
    alive = limits.most.new_ones(len(found), 1, dtype=torch.bool)
    while utterances:
        size = texts.shape[-1]
        totals = _totals(sources, limits, alive, size, length_bonus)
        if max_repeats is not None:
            forbid_repeats(totals, texts, max_repeats)
        best, places = totals.flatten(1).topk(min(beam_size, totals[0].numel()))
        if best.isnan().any():
            raise diverged()
        parents, labels = places // totals.shape[-1], places % totals.shape[-1]
        rows, slots = ((labels == 0) & (best > -math.inf)).nonzero(as_tuple=True)
        for row, text in zip(rows.tolist(), _ended(sources, texts, best, rows, slots, parents), strict=True):
            insort(found[utterances[row]], text, key=lambda other: -other.total)
            del found[utterances[row]][nbest:]
        reach = best + max(length_bonus, 0.0) * (limits.most - size - 1)[:, None]
        threshold = best.new_tensor([_threshold(found[utterance], nbest) for utterance in utterances])
        alive = (labels != 0) & (reach > threshold[:, None])
        texts = torch.cat((texts.gather(1, parents[..., None].expand(-1, -1, size)), labels[..., None]), -1)
        going = alive.any(1).nonzero()[:, 0]
        if len(going) < len(utterances):
            utterances = [utterances[row] for row in going.tolist()]
            texts, alive, parents, labels = (x[going] for x in (texts, alive, parents, labels))
            limits = Limits(limits.least[going], limits.most[going])
            sources = {name: Weighted(part.weight, part.source.keep(going)) for name, part in sources.items()}
        if utterances:
            sources = {
                name: Weighted(part.weight, part.source.after(parents, labels)) for name, part in sources.items()
            }
    return found


def _totals(sources: Mapping[str, Weighted], limits: Limits, alive: Tensor, size: int, length_bonus: float) -> Tensor:
    """What hypotheses of so many labels are ranked by with one more, or as they are: ``(batch, hypotheses, vocab)``.

    Those that are not ``alive``, ``(batch, hypotheses)``, have no rank. A vocabulary of 50,000 labels is gone through
    once for each source, so all that concerns a hypothesis is added up before.
    """
    growing = alive & (size < limits.most)[:, None]
    start = torch.zeros_like(alive, dtype=torch.float64) + length_bonus * (size + 1)
    totals = start.masked_fill(~growing, -math.inf)[..., None]
    for part in sources.values():
        totals = totals.add(part.source.scores, alpha=part.weight)
    ending = alive & (size >= limits.least)[:, None]
    ends = torch.stack([part.weight * part.source.scores[..., 0] for part in sources.values()]).sum(0)
    totals[..., 0] = (ends + length_bonus * size).masked_fill(~ending, -math.inf)
    return totals


def _ended(
    sources: Mapping[str, Weighted], texts: Tensor, best: Tensor, rows: Tensor, slots: Tensor, parents: Tensor
) -> list[Found]:
    """The texts that ended: of some rows, what came out in some slots."""
    parents = parents[rows, slots]
    scores = {"total": best[rows, slots].tolist()}
    scores |= {name: part.source.scores[rows, parents, 0].tolist() for name, part in sources.items()}
    return [
        Found(tuple(labels), dict(zip(scores, values, strict=True)))
        for labels, *values in zip(texts[rows, parents].tolist(), *scores.values(), strict=True)
    ]


def _threshold(found: list[Found], nbest: int) -> float:
    """What a text must be better than to count."""
    return found[-1].total if len(found) == nbest else -math.inf
