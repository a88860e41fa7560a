"""The lexicon of a beam search: how the words of an n-gram are spelled with the labels of a tokenizer."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from allinone.text import Tokenizer

logger = logging.getLogger(__name__)

_SHOWN = 8


@dataclass(frozen=True)
class Lexicon:
    """Words and their labels.

    Attributes:
        spellings: for each word its labels. Where the tokenizer has a label for the space, it ends every word.
        separator: that label; None where the pieces themselves tell where a word begins.
    """

    spellings: Mapping[str, tuple[int, ...]]
    separator: int | None

    def text(self, words: Iterable[str], tokenizer: Tokenizer) -> str:
        """Words in a row as the tokenizer writes them."""
        return tokenizer.decode(label for word in words for label in self.spellings[word]).strip()


def spell(words: Sequence[str], tokenizer: Tokenizer) -> Lexicon:
    """The lexicon of an n-gram's words; those with characters that have no label are left out, with a warning.

    Args:
        words: at least one.
        tokenizer: the network's.

    Raises:
        ValueError: if fewer than half of the words can be written: then the n-gram is not for these labels.
    """
    unknown = tokenizer.unknown("".join(words))
    separator = tokenizer.tokens.index(" ") if " " in tokenizer.tokens else None
    end = () if separator is None else (separator,)
    spellings = {word: (*tokenizer.encode(word), *end) for word in words if not unknown.intersection(word)}
    strange = [word for word in words if word not in spellings]
    if len(strange) > len(words) / 2:
        raise ValueError(
            f"An n-gram must be of words that the network's labels can write; found {len(strange):,} of {len(words):,} "
            f"that they cannot, such as {_some(strange)}, where the labels are such as {_some(tokenizer.tokens[1:])}. "
            "Train the n-gram on transcripts as `allinone texts` writes them, or take the one of this corpus."
        )
    if strange:
        logger.warning(
            "%d of %d words of the n-gram are never heard, because the network has no labels for some of their "
            "characters: %s.",
            len(strange),
            len(words),
            _some(strange),
        )
    return Lexicon(spellings, separator)


def _some(words: Sequence[str]) -> str:
    return ", ".join(map(repr, words[:_SHOWN]))
