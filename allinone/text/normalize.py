"""Normalisation: one transcript as written becomes one transcript as spoken, lower case and without punctuation."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

_TYPOGRAPHIC = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "…": "."})


@dataclass(frozen=True)
class Normalizer:
    """A rule for English text, a frozen value that is called like a function: ``str -> str``.

    In this order: accents join their letters (Unicode NFC); typographic quotes become plain; ``marks`` are removed;
    ``breaks`` become spaces; ``removed`` characters vanish; apostrophes that touch no letter vanish; case and white
    space are folded. Every other character stays, so that a tokenizer can name what it cannot write: digits and signs
    such as ``&`` are spoken as words that the text does not tell.

    Attributes:
        lower: fold to lower case.
        marks: regular expression of what is not spoken: sounds in ``<...>`` and the ``^_`` sign by default.
        breaks: characters that separate words.
        removed: punctuation that is not spoken.

    Raises:
        ValueError: if ``marks`` is not a regular expression.
    """

    lower: bool = True
    marks: str = r"<[^<>]*>|\^_"
    breaks: str = "-‐‑‒–—―"
    removed: str = '.,!?;:"()[]{}«»¡¿*@~'

    def __post_init__(self) -> None:
        try:
            re.compile(self.marks)
        except re.error as error:
            raise ValueError(
                f"Normalizer requires 'marks' to be a regular expression, found {self.marks!r} ({error}); "
                "correct the pattern, or use an empty one to remove nothing"
            ) from error

    @cached_property
    def _table(self) -> dict[int, str]:
        return {ord(character): " " for character in self.breaks} | {ord(character): "" for character in self.removed}

    def __call__(self, text: str) -> str:
        """Return the normalised text; an empty string when nothing of it is spoken."""
        text = unicodedata.normalize("NFC", text).translate(_TYPOGRAPHIC)
        if self.marks:
            text = re.sub(self.marks, " ", text)
        text = text.translate(self._table)
        text = re.sub(r"(?<!\w)'+(?!\w)", "", text)
        return " ".join((text.lower() if self.lower else text).split())
