"""Slices of a test set: errors by speaker, by length of utterance, and by how rare a word is in the training text."""

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from allinone.scoring.alignment import edits
from allinone.scoring.wer import ErrorCounts, word_errors

Slices = dict[str, dict[str, ErrorCounts]]  # what divides -> name of the slice -> errors in words


@dataclass(frozen=True)
class Utterance:
    """What is known of an utterance besides what was heard.

    Attributes:
        text: what was said.
        seconds: how long it lasts.
        speaker: who said it; None if that is not known.
    """

    text: str
    seconds: float
    speaker: str | None = None


@dataclass(frozen=True)
class Slicing:
    """Where lengths and counts are divided; a value that equals a bound belongs to the slice above.

    Args:
        seconds: bounds between lengths of utterances.
        seen: bounds between how often words are found in the training text: ``(1, 5)`` tells words that it does not
            hold from those that it holds one to four times and those that it holds more often.

    Raises:
        ValueError: if bounds are not positive and rising.
    """

    seconds: tuple[float, ...] = (2.0, 5.0)
    seen: tuple[int, ...] = (1, 5)

    def __post_init__(self) -> None:
        for name in ("seconds", "seen"):
            bounds = tuple(getattr(self, name))
            if not bounds or not all(low < high for low, high in pairwise((0, *bounds))):
                raise ValueError(
                    f"The bounds of slices must be positive and rising, at least one; found {name}={list(bounds)}. "
                    "Correct them."
                )
            object.__setattr__(self, name, bounds)

    def slices(
        self, utterances: Mapping[str, Utterance], texts: Mapping[str, str], seen: Mapping[str, int] | None
    ) -> Slices:
        """Errors in words of each slice; what has no utterance or word is left out.

        ``speaker`` and ``seconds`` divide utterances: their errors add up to those of the whole (``speaker`` only if
        all are known). ``seen`` divides the words that were said: one is wrong that the best alignment substitutes or
        deletes, so 100 % minus the rate is the recall of these words. Insertions belong to no word that was said and
        are not counted there.

        Args:
            utterances: by id.
            texts: what was heard, by the same ids.
            seen: how often words are found in the training text; None leaves ``seen`` out.
        """
        lengths = dict.fromkeys(_between(self.seconds), ErrorCounts())
        words = dict.fromkeys(_counted(self.seen), ErrorCounts())
        speakers: dict[str, ErrorCounts] = {}
        for name, utterance in utterances.items():
            errors = word_errors(utterance.text, texts[name])
            lengths[[*lengths][bisect(self.seconds, utterance.seconds)]] += errors
            if utterance.speaker is not None:
                speakers[utterance.speaker] = speakers.get(utterance.speaker, ErrorCounts()) + errors
            if seen is not None:
                for word, errors in _by_word(utterance.text, texts[name]):
                    words[[*words][bisect(self.seen, seen.get(word, 0))]] += errors
        found = {"speaker": dict(sorted(speakers.items())), "seconds": lengths, "seen": words}
        return {
            kind: {name: errors for name, errors in slices.items() if errors.words}
            for kind, slices in found.items()
            if any(errors.words for errors in slices.values())
        }


def _between(bounds: Sequence[float]) -> list[str]:
    """Names of the slices of a measure."""
    inner = (f"{low:g}-{high:g}" for low, high in pairwise(bounds))
    return [f"<{bounds[0]:g}", *inner, f">={bounds[-1]:g}"]


def _counted(bounds: Sequence[int]) -> list[str]:
    """Names of the slices of a count."""
    inner = (f"{low}" if high == low + 1 else f"{low}-{high - 1}" for low, high in pairwise((0, *bounds)))
    return [*inner, f">={bounds[-1]}"]


def _by_word(said: str, heard: str) -> Iterator[tuple[str, ErrorCounts]]:
    """Each word that was said, and whether it was substituted or deleted."""
    words = said.split()
    letters = edits(words, heard.split()).replace("I", "")
    for word, letter in zip(words, letters, strict=True):
        yield word, ErrorCounts(int(letter == "S"), int(letter == "D"), 0, 1)
