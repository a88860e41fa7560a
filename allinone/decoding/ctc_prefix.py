"""CTC prefix scores (Watanabe et al. 2017, Algorithm 2): how probable are all texts that begin with some labels."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

BLANK = 0
# The least log probability of a label in a frame that is told from less. The sums below are products of matrices in
# float64, scaled by their largest term: with this bound none that underflows can matter.
LEAST = -300.0


@dataclass(frozen=True)
class Prefixes:
    """Prefixes of each utterance. A path reaches a prefix where it has given its labels, and no more, so far.

    Args:
        last: the newest label, 0 for no label yet, ``(batch, hypotheses)``.
        emissions: log probabilities of that label, ``(batch, hypotheses, time)``.
        by_label: for each frame, those of all paths that reached the prefix before it and came from that label,
            ``(batch, hypotheses, time)``; ``-inf`` at padding.
        by_blank: the same for those that came from a blank.
        whole: log probability of the prefix as the whole text, ``(batch, hypotheses)``.
    """

    last: Tensor
    emissions: Tensor
    by_label: Tensor
    by_blank: Tensor
    whole: Tensor

    def keep(self, utterances: Tensor) -> "Prefixes":
        """Those of some utterances."""
        return Prefixes(*(x[utterances] for x in vars(self).values()))


class PrefixScorer:
    """Scores prefixes of any number of utterances at once, and those with one more label.

    The recursions over time are linear, so there is no loop over frames: a product with cumulative probabilities turns
    each into a cumulative sum, and a score is the product of a vector and a matrix, for all labels together.

    Args:
        log_probs: of the CTC output, ``(batch, time, vocab)`` with at least one frame; what stands at padding does not
            matter.
        lengths: valid frames, ``(batch,)``.
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor) -> None:
        self.lengths = lengths
        padding = torch.arange(log_probs.shape[1], device=lengths.device) >= lengths[:, None]
        self.padding = padding[:, None]
        self.log_probs = log_probs.masked_fill(padding[..., None], LEAST).clamp_min(LEAST)
        self.probs = self.log_probs.double().exp().masked_fill(padding[..., None], 0)
        self.blanks = self.log_probs[:, None, :, BLANK].double()

    def keep(self, utterances: Tensor) -> "PrefixScorer":
        """That of some utterances."""
        return PrefixScorer(self.log_probs[utterances], self.lengths[utterances])

    def start(self) -> Prefixes:
        """One empty prefix for each utterance."""
        blanks = pad(self.blanks.cumsum(-1), (1, 0))
        last = torch.zeros_like(self.lengths)[:, None]
        return self._prefixes(last, self._emissions(last), torch.full_like(blanks, -math.inf), blanks)

    def scores(self, prefixes: Prefixes) -> Tensor:
        """Log probability that a text begins with the prefix and one more label: ``(batch, hypotheses, vocab)``.

        That of label 0 is the probability that nothing follows: that the prefix is the whole text.
        """
        reached = torch.logaddexp(prefixes.by_label, prefixes.by_blank)
        scale = _scale(reached)
        scores = scale + ((reached - scale).exp() @ self.probs).log()
        # a label is repeated only behind a blank
        repeated = (prefixes.by_blank + prefixes.emissions).logsumexp(-1, keepdim=True)
        scores.scatter_(-1, prefixes.last[..., None], repeated)
        scores[..., BLANK] = prefixes.whole
        return scores

    def extend(self, prefixes: Prefixes, parents: Tensor, labels: Tensor) -> Prefixes:
        """Prefixes with one more label.

        Args:
            prefixes: what they extend.
            parents: number of the prefix that each of them extends, ``(batch, hypotheses)``.
            labels: what follows it, ``(batch, hypotheses)``.
        """
        repeats = labels == prefixes.last.gather(1, parents)
        frames = parents[..., None].expand(-1, -1, self.log_probs.shape[1])
        by_label = prefixes.by_label.gather(1, frames).masked_fill(repeats[..., None], -math.inf)
        before = torch.logaddexp(by_label, prefixes.by_blank.gather(1, frames))
        emissions = self._emissions(labels)
        by_label = pad(_accumulate(before, emissions), (1, 0), value=-math.inf)
        by_blank = _accumulate(by_label[..., :-1], self.blanks)
        return self._prefixes(labels, emissions, by_label, pad(by_blank, (1, 0), value=-math.inf))

    def _emissions(self, labels: Tensor) -> Tensor:
        """Log probabilities of labels, ``(batch, hypotheses)`` to ``(batch, hypotheses, time)``."""
        columns = labels[:, None].expand(-1, self.log_probs.shape[1], -1)
        return self.log_probs.gather(2, columns).transpose(1, 2).double().contiguous()

    def _prefixes(self, last: Tensor, emissions: Tensor, by_label: Tensor, by_blank: Tensor) -> Prefixes:
        """From log probabilities after no frame, the first, ..., the last: ``(batch, hypotheses, time + 1)``."""
        end = self.lengths[:, None, None].expand(-1, last.shape[1], 1)
        return Prefixes(
            last,
            emissions,
            by_label[..., :-1].masked_fill(self.padding, -math.inf),
            by_blank[..., :-1].masked_fill(self.padding, -math.inf),
            torch.logaddexp(by_label.gather(2, end), by_blank.gather(2, end))[..., 0],
        )


def _accumulate(x: Tensor, emissions: Tensor) -> Tensor:
    """Logarithms of ``r[t] = (r[t - 1] + x[t]) * p[t]``, beginning with 0: all over the last axis."""
    total = emissions.cumsum(-1)
    return total + (x - (total - emissions)).logcumsumexp(-1)


def _scale(x: Tensor) -> Tensor:
    """The largest over time, or something finite where there is none."""
    return x.amax(-1, keepdim=True).clamp_min(torch.finfo(x.dtype).min)
