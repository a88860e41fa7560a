"""The data report: how many utterances there are, which were skipped and why."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MALFORMED = "malformed row"
DUPLICATE = "duplicate id"
EMPTY_TEXT = "empty text"
UNKNOWN = "unknown characters"
MISSING = "missing file"
UNREADABLE = "unreadable audio"
EMPTY_AUDIO = "empty audio"
TOO_LONG = "too long for memory"
TOO_SHORT = "too short for its text"
TOO_MANY = "too many labels for the attention decoder"
REASONS = (MALFORMED, DUPLICATE, EMPTY_TEXT, UNKNOWN, MISSING, UNREADABLE, EMPTY_AUDIO, TOO_LONG, TOO_SHORT, TOO_MANY)

_NAMED = 10


@dataclass(frozen=True)
class Problem:
    """One utterance that is skipped: its id and what exactly is wrong."""

    id: str
    detail: str


@dataclass
class DataReport:
    """What was found in a corpus.

    Attributes:
        corpus: name of the corpus.
        rows: how many utterances it lists.
        kept: lines and hours of each split that remain.
        problems: the skipped utterances by reason, each listed under the first reason found.
        resampled: how many recordings had another sample rate than 16 kHz, by rate in Hz.
        automatic_splits: whether splits were made here because the corpus gives none.
        unknown: characters that the network has no label for, and how many utterances have each.
    """

    corpus: str
    rows: int
    kept: dict[str, dict[str, float]] = field(default_factory=dict)
    problems: dict[str, list[Problem]] = field(default_factory=dict)
    resampled: dict[int, int] = field(default_factory=dict)
    automatic_splits: bool = False
    unknown: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, name: str, detail: str) -> None:
        """Note that an utterance is skipped."""
        assert reason in REASONS, reason
        self.problems.setdefault(reason, []).append(Problem(name, detail))

    @property
    def bad(self) -> int:
        """How many utterances are skipped, for whatever reason."""
        return sum(len(problems) for problems in self.problems.values())

    @property
    def bad_share(self) -> float:
        """Skipped utterances as a share of all, 0 .. 1."""
        return self.bad / self.rows if self.rows else 0.0

    def refuse_if_bad(self, max_bad_share: float) -> None:
        """Stop before training when too much is wrong.

        Raises:
            ValueError: if more than ``max_bad_share`` of the utterances are skipped, with the list.
        """
        if self.bad_share > max_bad_share:
            advice = "correct the data, or raise max_bad_share if they may be skipped"
            if 2 * len(self.problems.get(UNKNOWN, ())) > self.bad:
                advice = (
                    f"the network has no labels for {self._unknown()}: choose labels that cover the transcripts "
                    "(tokenizer=...; an output that is taken over brings its own), or normalise the transcripts further"
                )
            raise ValueError(
                f"training requires at most {max_bad_share:.1%} unusable utterances (max_bad_share), found "
                f"{self.bad_share:.1%}; {advice}\n{self.summary()}"
            )

    def _unknown(self) -> str:
        """The most frequent characters without a label."""
        counts = sorted(self.unknown.items(), key=lambda entry: (-entry[1], entry[0]))
        more = len(counts) - _NAMED
        shown = (f"{character!r} (in {count})" for character, count in counts[:_NAMED])
        return ", ".join(shown) + (f" and {more} more" if more > 0 else "")

    def to_dict(self) -> dict[str, Any]:
        """The whole report as plain JSON values."""
        return {
            "corpus": self.corpus,
            "rows": self.rows,
            "kept": self.kept,
            "skipped": self.bad,
            "skipped_share": round(self.bad_share, 6),
            "automatic_splits": self.automatic_splits,
            "resampled_to_16000": {str(rate): count for rate, count in sorted(self.resampled.items())},
            "problems": {
                reason: [{"id": problem.id, "detail": problem.detail} for problem in self.problems[reason]]
                for reason in REASONS
                if reason in self.problems
            },
        }

    def summary(self) -> str:
        """The report for a reader; names at most ten utterances of each reason."""
        lines = [f"data '{self.corpus}': {self.rows} utterances, {self.bad} skipped ({self.bad_share:.2%})"]
        if self.kept:
            splits = (f"{name} {int(kept['lines'])} ({kept['hours']:.2f} h)" for name, kept in self.kept.items())
            made = "; splits made by a hash of the text" if self.automatic_splits else ""
            lines.append("  kept: " + ", ".join(splits) + made)
        if self.resampled:
            rates = ", ".join(f"{count} from {rate} Hz" for rate, count in sorted(self.resampled.items()))
            lines.append(f"  resampled to 16000 Hz: {rates}")
        for reason in REASONS:
            problems = self.problems.get(reason, [])
            if problems:
                which = f": {self._unknown()}" if reason == UNKNOWN and self.unknown else ""
                lines.append(f"  {reason}: {len(problems)}{which}")
                lines += [f"    {problem.id}: {problem.detail}" for problem in problems[:_NAMED]]
                if len(problems) > _NAMED:
                    lines.append(f"    and {len(problems) - _NAMED} more")
        return "\n".join(lines)
