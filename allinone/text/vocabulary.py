"""The vocabulary of a published CTC network: its labels in its order, its capitals, a bar for the space."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from allinone.text.json_file import read_json, read_optional

BAR = "|"
VOCABULARY = "vocab.json"
_PAD = ("<pad>", "[PAD]")


@dataclass(frozen=True)
class VocabularyTokenizer:
    """One label per character, as wav2vec 2.0's CTC networks have them (Baevski et al. 2020, section 3.2).

    A text is in lower case; a letter that the vocabulary has in one case alone is that letter. The space is a bar,
    unless the vocabulary has the space itself. Special symbols stand in angle or square brackets: no text gives them,
    and they are skipped in what is recognised.

    Attributes:
        symbols: in label order; the first is the blank, a special symbol.

    Raises:
        ValueError: if a symbol is there twice, if the first is not special, or if another has several characters.
    """

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", tuple(self.symbols))
        wrong = [symbol for symbol, count in Counter(self.symbols).items() if count > 1]
        wrong += [symbol for symbol in self.symbols if len(symbol) != 1 and not is_special(symbol)]
        if wrong or len(self.symbols) < 2 or not is_special(self.symbols[0]):
            found = (
                "such as " + ", ".join(map(repr, wrong[:5])) if wrong else f"{', '.join(self.symbols[:5]) or 'none'}"
            )
            raise ValueError(
                "A vocabulary must begin with the blank in brackets, such as <pad>, and have single characters and "
                f"special symbols in brackets, each once; found {found}. Correct it; or move it away to start from the "
                "encoder alone, with another tokenizer."
            )

    @classmethod
    def read(cls, folder: str | Path) -> "VocabularyTokenizer":
        """That of a Hugging Face directory; its blank, wherever it stands, becomes the first label.

        Raises:
            ValueError: if the directory has no vocabulary, or one that does not serve.
        """
        symbols, blank = read_vocabulary(Path(folder))
        return cls(tuple(symbols[label] for label in blank_first(len(symbols), blank)))

    @property
    def tokens(self) -> tuple[str, ...]:
        return self._tokens

    @cached_property
    def _tokens(self) -> tuple[str, ...]:
        cases = Counter(symbol.lower() for symbol in self.symbols)
        return tuple(self._written(symbol, cases) for symbol in self.symbols)

    def _written(self, symbol: str, cases: Mapping[str, int]) -> str:
        if symbol == BAR and " " not in self.symbols:
            return " "
        return symbol if is_special(symbol) or cases[symbol.lower()] > 1 else symbol.lower()

    @cached_property
    def _labels(self) -> dict[str, int]:
        return {token: label for label, token in enumerate(self._tokens) if not is_special(token)}

    @property
    def vocab_size(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> list[int]:
        if unknown := self.unknown(text):
            raise ValueError(
                f"Encoding requires characters that the vocabulary has; found {' '.join(sorted(unknown))} in {text!r}. "
                "Normalise the text further, or choose another tokenizer."
            )
        return [self._labels[character] for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of labels; blanks and other special symbols are skipped, and so are spaces at both ends and double."""
        tokens = (self._tokens[label] for label in ids)
        return " ".join("".join(token for token in tokens if not is_special(token)).split())

    def unknown(self, text: str) -> set[str]:
        return set(text) - self._labels.keys()


def is_special(symbol: str) -> bool:
    """Whether a symbol stands in angle or square brackets."""
    return len(symbol) > 2 and symbol[0] + symbol[-1] in ("<>", "[]")


def blank_first(size: int, blank: int) -> list[int]:
    """All labels, the blank before the others: which label of the directory each of ours is."""
    return [blank, *(label for label in range(size) if label != blank)]


def read_vocabulary(folder: Path) -> tuple[tuple[str, ...], int]:
    """The symbols of a Hugging Face directory in its own order, and which of them is the blank.

    Raises:
        ValueError: if there is no vocabulary, if its labels have gaps, or if it is not clear what the blank is.
    """
    labels = {symbol: label for symbol, label in _labels(folder).items() if isinstance(label, int)}
    symbols = sorted(labels, key=labels.__getitem__)
    if not symbols or [labels[symbol] for symbol in symbols] != list(range(len(symbols))):
        raise ValueError(
            f"{folder / VOCABULARY} must give each label from 0 on to one symbol; found {len(symbols)} symbols with "
            f"labels up to {max(labels.values(), default='none')}. Correct it, or choose another tokenizer."
        )
    return tuple(symbols), _blank(folder, symbols)


def _labels(folder: Path) -> dict[str, Any]:
    """All symbols that a directory names; those that were added later stand in files of their own."""
    labels = read_json(folder / VOCABULARY)
    if any(isinstance(label, dict) for label in labels.values()):
        raise ValueError(
            f"{folder / VOCABULARY} must be the vocabulary of one language; found several "
            f"({', '.join(list(labels)[:5])}). Put the one you need into the file, without its name."
        )
    if (folder / "added_tokens.json").is_file():
        labels |= read_json(folder / "added_tokens.json")
    added = read_optional(folder / "tokenizer_config.json").get("added_tokens_decoder") or {}
    return labels | {token["content"]: int(label) for label, token in added.items()}


def _blank(folder: Path, symbols: list[str]) -> int:
    """The padding symbol is the blank."""
    found: dict[int, str] = {}
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        symbol = read_optional(folder / file).get("pad_token")
        symbol = symbol.get("content") if isinstance(symbol, dict) else symbol
        if symbol in symbols:
            found[symbols.index(symbol)] = file
    label = read_optional(folder / "config.json").get("pad_token_id")
    if isinstance(label, int) and label < len(symbols):
        found[label] = "config.json"
    found = found or {symbols.index(symbol): VOCABULARY for symbol in _PAD if symbol in symbols}
    if len(found) != 1:
        named = ", ".join(f"{symbols[label]} in {file}" for label, file in found.items())
        raise ValueError(
            f"The padding symbol of {folder} is the blank, and must be one symbol; found {named or 'none'}. "
            "Name it in config.json (pad_token_id) and tokenizer_config.json (pad_token)."
        )
    return next(iter(found))
