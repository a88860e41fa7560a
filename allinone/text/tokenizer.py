"""Tokenizers: frozen values that turn text into labels and back; label 0 is the CTC blank."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import sentencepiece

BLANK = "<blank>"
ENGLISH = " 'abcdefghijklmnopqrstuvwxyz"


@runtime_checkable
class Tokenizer(Protocol):
    """What every tokenizer offers. ``tokens[0]`` is the blank, which no text contains."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The written form of every label, in order."""
        ...

    @property
    def vocab_size(self) -> int:
        """How many labels there are, the blank included."""
        ...

    def encode(self, text: str) -> list[int]:
        """Labels of a text. Raises ValueError, naming them, if it holds characters without a label."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Text of labels; blanks are skipped."""
        ...

    def unknown(self, text: str) -> set[str]:
        """The characters of a text that have no label."""
        ...


def _refuse(unknown: set[str], text: str) -> None:
    raise ValueError(
        f"encoding requires characters the tokenizer has labels for, found {sorted(unknown)} in {text!r}; "
        "normalise the text further, or train the tokenizer on text that holds them"
    )


@dataclass(frozen=True)
class CharTokenizer:
    """One label per character.

    Attributes:
        symbols: the characters in label order: ``symbols[0]`` is label 1, because label 0 is the blank.

    Raises:
        ValueError: if there is no symbol, or one twice.
    """

    symbols: str = ENGLISH

    def __post_init__(self) -> None:
        twice = sorted({symbol for symbol in self.symbols if self.symbols.count(symbol) > 1})
        if not self.symbols or twice:
            raise ValueError(
                "CharTokenizer requires at least one symbol and each only once, "
                f"found {'twice: ' + ' '.join(twice) if twice else 'none'}; correct 'symbols'"
            )

    @classmethod
    def train(cls, texts: Iterable[str]) -> "CharTokenizer":
        """A tokenizer with every character of the texts, in alphabetical order.

        Raises:
            ValueError: if the texts hold no character.
        """
        return cls("".join(sorted({character for text in texts for character in text})))

    @cached_property
    def _labels(self) -> dict[str, int]:
        return {symbol: label for label, symbol in enumerate(self.symbols, start=1)}

    @property
    def tokens(self) -> tuple[str, ...]:
        return (BLANK, *self.symbols)

    @property
    def vocab_size(self) -> int:
        return len(self.symbols) + 1

    def encode(self, text: str) -> list[int]:
        try:
            return [self._labels[character] for character in text]
        except KeyError:
            _refuse(self.unknown(text), text)
            raise

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self.symbols[label - 1] for label in ids if label != 0)

    def unknown(self, text: str) -> set[str]:
        return set(text) - self._labels.keys()


@dataclass(frozen=True)
class SentencePieceTokenizer:
    """Subword pieces of a SentencePiece model. The model's unknown piece takes label 0, which is the blank here.

    Attributes:
        model: a serialised SentencePiece model whose unknown piece is its piece 0, as ``train`` makes it.

    Raises:
        ValueError: if the bytes are no such model.
    """

    model: bytes

    def __post_init__(self) -> None:
        try:
            unknown = self._processor.unk_id()
        except RuntimeError as error:
            raise ValueError(
                f"SentencePieceTokenizer requires a serialised model, found {len(self.model)} bytes that are none; "
                "make one with SentencePieceTokenizer.train"
            ) from error
        if unknown != 0:
            raise ValueError(
                f"SentencePieceTokenizer requires the unknown piece to be piece 0, found {unknown}; "
                "make the model with SentencePieceTokenizer.train or with --unk_id=0 --bos_id=-1 --eos_id=-1"
            )

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, kind: str = "unigram") -> "SentencePieceTokenizer":
        """Train a model on texts; the result depends on nothing else.

        Args:
            texts: normalised transcripts.
            vocab_size: how many labels, the blank included.
            kind: ``unigram`` or ``bpe``.

        Raises:
            ValueError: if the texts cannot give that many pieces.
        """
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.Train(
                sentence_iterator=iter(text for text in texts if text),
                model_writer=model,
                vocab_size=vocab_size,
                model_type=kind,
                character_coverage=1.0,
                normalization_rule_name="identity",
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                num_threads=1,
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            raise ValueError(
                f"SentencePieceTokenizer.train requires texts that give {vocab_size} pieces, found that they do not "
                f"({str(error).strip()}); lower vocab_size, or train on more text"
            ) from error
        return cls(model.getvalue())

    @cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor:
        processor = sentencepiece.SentencePieceProcessor()
        processor.LoadFromSerializedProto(self.model)
        return processor

    @property
    def tokens(self) -> tuple[str, ...]:
        return (BLANK, *(self._processor.IdToPiece(label) for label in range(1, self.vocab_size)))

    @property
    def vocab_size(self) -> int:
        return self._processor.GetPieceSize()

    def encode(self, text: str) -> list[int]:
        labels = self._processor.EncodeAsIds(text)
        if 0 in labels:
            _refuse(self.unknown(text), text)
        return labels

    def decode(self, ids: Iterable[int]) -> str:
        return self._processor.DecodeIds([int(label) for label in ids if label != 0])

    def unknown(self, text: str) -> set[str]:
        return {character for character in set(text) if 0 in self._processor.EncodeAsIds(character)}

    def __getstate__(self) -> dict[str, bytes]:
        return {"model": self.model}

    def __setstate__(self, state: dict[str, bytes]) -> None:
        object.__setattr__(self, "model", state["model"])
