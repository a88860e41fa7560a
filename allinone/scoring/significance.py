"""Systems compared on the same utterances: their error rates, and which differences are significant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from allinone.scoring.alignment import edits
from allinone.scoring.bootstrap import interval, resampled_rates
from allinone.scoring.holm import holm
from allinone.scoring.mapsswe import MatchedPairs, mapsswe
from allinone.scoring.wer import ErrorCounts, count_edits

Words = Mapping[str, Sequence[str]]  # of each utterance, by its id
SAME = "same"  # the verdict where no difference is significant
_LISTED = 10  # ids in a message


@dataclass(frozen=True)
class System:
    """The error rate of one system.

    Attributes:
        name: of the system.
        counts: its errors on all utterances.
        interval: where its word error rate in percent lies with confidence ``1 - alpha`` (bootstrap).
    """

    name: str
    counts: ErrorCounts
    interval: tuple[float, float]


@dataclass(frozen=True)
class Pair:
    """The comparison of two systems.

    Attributes:
        first, second: their names.
        test: the matched-pairs test of the first against the second.
        p_holm: its p value, corrected for all pairs that were compared.
        verdict: the better system if p is below alpha, or else "same": what sc_stats says where alpha is 0.05.
        verdict_holm: the better system if the corrected p is below alpha, or else "same".
        difference: word error rate of the first minus that of the second, in percent points.
        interval: where the difference lies with confidence ``1 - alpha`` (paired bootstrap).
        detectable: the smallest difference that the test would have called significant, uncorrected; None if unknown.
    """

    first: str
    second: str
    test: MatchedPairs
    p_holm: float
    verdict: str
    verdict_holm: str
    difference: float
    interval: tuple[float, float]
    detectable: float | None


@dataclass(frozen=True)
class Comparison:
    """All systems in the order given, and the pairs of them that were compared."""

    systems: tuple[System, ...]
    pairs: tuple[Pair, ...]


def compare(
    references: Words,
    hypotheses: Mapping[str, Words],
    *,
    against: str | None = None,
    alpha: float = 0.05,
    samples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Scores systems and compares every two of them, or each with one.

    Args:
        references: the words that were said in each utterance.
        hypotheses: for each system, by its name, the words that it heard in each utterance.
        against: the second of every pair: each of the others is compared with it, and Holm's correction is for these
            pairs alone; None compares every two.
        alpha: level of the tests; the intervals have the confidence ``1 - alpha``.
        samples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: if alpha is not between 0 and 1, nothing was said at all, there is no system or not the one to
            compare with, the utterances of a system are not those of the references, or the samples are too few.
    """
    _check(references, hypotheses, alpha, against)
    aligned = [[edits(said, heard[name]) for name, said in references.items()] for heard in hypotheses.values()]
    counts = [[count_edits(letters) for letters in system] for system in aligned]
    rates = resampled_rates(counts, samples, seed)
    systems = tuple(
        System(name, sum(of_utterances, ErrorCounts()), interval(row, alpha))
        for name, of_utterances, row in zip(hypotheses, counts, rates, strict=True)
    )
    indices = list(combinations(range(len(systems)), 2))
    if against is not None:
        base = list(hypotheses).index(against)
        indices = [(index, base) for index in range(len(systems)) if index != base]
    tests = [mapsswe(aligned[first], aligned[second]) for first, second in indices]
    corrected = holm([test.p for test in tests])
    pairs = []
    for (first, second), test, p_holm in zip(indices, tests, corrected, strict=True):
        one, other = systems[first], systems[second]
        better = one.name if test.mean < 0 else other.name
        pairs.append(
            Pair(
                first=one.name,
                second=other.name,
                test=test,
                p_holm=p_holm,
                verdict=better if test.p < alpha else SAME,
                verdict_holm=better if p_holm < alpha else SAME,
                difference=one.counts.rate - other.counts.rate,
                interval=interval(rates[first] - rates[second], alpha),
                detectable=test.detectable(alpha, one.counts.words),
            )
        )
    return Comparison(systems, tuple(pairs))


def _check(references: Words, hypotheses: Mapping[str, Words], alpha: float, against: str | None) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1; found {alpha}. Take 0.05, for instance.")
    if not hypotheses:
        raise ValueError("Scoring requires hypotheses; found none. Give those of one system or more.")
    if against is not None and against not in hypotheses:
        raise ValueError(
            f"against requires one of the systems, {', '.join(hypotheses)}; found {against!r}. Choose one of these."
        )
    if not any(references.values()):
        raise ValueError(
            f"Scoring requires references with words; found {len(references)} utterances and not one word. "
            "Give what was said."
        )
    for name, heard in hypotheses.items():
        missing = [utterance for utterance in references if utterance not in heard]
        unknown = [utterance for utterance in heard if utterance not in references]
        if missing or unknown:
            parts = [(missing, "lacks"), (unknown, "has, but the reference lacks,")]
            found = " and ".join(f"{verb} {listed(ids)}" for ids, verb in parts if ids)
            raise ValueError(
                f"Scoring requires the same utterances in the reference and in every hypothesis; found that {name} "
                f"{found}. Give files of the same test set."
            )


def listed(ids: Sequence[str]) -> str:
    """Utterance ids in words: at most ten of them, and how many there are."""
    more = "" if len(ids) <= _LISTED else f", ... ({len(ids)} in all)"
    return ", ".join(ids[:_LISTED]) + more
