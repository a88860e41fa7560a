"""Whisper's byte-level BPE: its labels in its order, the end of a text first, and the prompt that begins one."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers.pre_tokenizers import ByteLevel

from allinone.text.json_file import read_json, read_optional
from allinone.text.vocabulary import blank_first

TOKENIZER = "tokenizer.json"
END, START, TRANSCRIBE, NO_TIMESTAMPS = "<|endoftext|>", "<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>"
_MULTILINGUAL = 51_865  # labels of the smallest multilingual network; the rule of OpenAI's own `is_multilingual`
_TIMESTAMP_SECONDS = 0.02


@dataclass(frozen=True)
class BpeTokenizer:
    """Byte-level pieces as Whisper's networks spell with (Radford et al. 2022, section 2.2; the BPE of GPT-2).

    Label 0 is the end of a text; the other labels keep their order. A text begins with a space, as Whisper writes the
    first word. The pieces can write any text; special tokens and timestamps are never written, and skipped in what is
    recognised.

    Attributes:
        model: the content of a ``tokenizer.json`` of Hugging Face's `tokenizers`, not compressed: equal tokenizers are
            equal bytes. A description (:func:`allinone.tasks.description.describe`) compresses it.
        alphabet: characters that transcripts may hold. None allows all; but digits and signs are spoken as words that
            the text does not tell, so a corpus of normalised English says ``" 'abcdefghijklmnopqrstuvwxyz"``.
        language: of the speech, for the prompt of a multilingual network (``en``, ``de``, ...); None for a network of
            English alone, which is told neither language nor task.

    Raises:
        ValueError: if the bytes are no byte-level BPE with Whisper's special tokens and a token for each label, if the
            language has no token, or if the alphabet is empty.
    """

    model: bytes
    alphabet: str | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        if self.alphabet == "":
            raise ValueError(
                "An alphabet must have the characters that transcripts may hold; found an empty one. Name them, or "
                "leave it out (null) to allow all."
            )
        known = set(self._parts.tokens)
        missing = [token for token in (END, START, NO_TIMESTAMPS, *sorted(ByteLevel.alphabet())) if token not in known]
        if missing:
            raise _refusal(f"one without {' '.join(missing[:5])}")
        for token in (f"<|{self.language}|>", TRANSCRIBE) if self.language else ():
            if token not in known:
                raise ValueError(
                    f"A prompt in the language {self.language!r} requires a token {token}; found none. Name another "
                    "language, such as en."
                )

    @classmethod
    def read(cls, folder: str | Path, alphabet: str | None = None, language: str | None = None) -> "BpeTokenizer":
        """That of a Hugging Face directory.

        The file may leave the timestamps unnamed: labels behind the last that it names, up to the ``vocab_size`` of
        ``config.json``, are those.

        Args:
            folder: the directory, with ``tokenizer.json`` and perhaps ``config.json``.
            alphabet: characters that transcripts may hold; None allows all.
            language: of the speech, for a multilingual network; None is that whose token ``generation_config.json``
                names, as an export does, or English.

        Raises:
            ValueError: if there is no such file, or one that does not serve; if another language is asked of a network
                of English alone.
        """
        folder = Path(folder)
        content = read_json(folder / TOKENIZER)
        config, generation = (read_optional(folder / name) for name in ("config.json", "generation_config.json"))
        try:
            cls(_compact(content), alphabet)  # checks what is completed next
            model = _compact(_with_timestamps(content, config.get("vocab_size", 0)))
            if not generation.get("is_multilingual", len(_places(json.loads(model))) >= _MULTILINGUAL):
                if language not in (None, "en"):
                    raise ValueError(
                        f"The language {language!r} requires a multilingual network; found one of English alone. Leave "
                        "the language out, or take another network."
                    )
                return cls(model, alphabet)
            return cls(model, alphabet, language or _told(generation) or "en")
        except ValueError as error:
            raise ValueError(f"{folder / TOKENIZER}: {error}") from error

    @property
    def tokens(self) -> tuple[str, ...]:
        return self._parts.tokens

    @property
    def vocab_size(self) -> int:
        return len(self.tokens)

    @property
    def order(self) -> tuple[int, ...]:
        """Which label of the published network each of ours is."""
        return self._parts.order

    @property
    def prompt(self) -> tuple[int, ...]:
        """The labels that stand before every text: its start, then language and task if it has a language."""
        told = (f"<|{self.language}|>", TRANSCRIBE) if self.language else ()
        return tuple(self.tokens.index(token) for token in (START, *told, NO_TIMESTAMPS))

    def encode(self, text: str) -> list[int]:
        if unknown := self.unknown(text):
            raise ValueError(
                f"Encoding requires characters of the alphabet; found {' '.join(sorted(unknown))} in {text!r}. "
                "Normalise the text further, or allow them (alphabet)."
            )
        text = text.strip()
        places = self._parts.processor.encode(f" {text}").ids if text else []
        return [self._parts.labels[place] for place in places]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of labels; the end, other special tokens and timestamps are skipped, and so are spaces at both ends."""
        parts = self._parts
        return parts.processor.decode([parts.order[label] for label in ids if label not in parts.silent]).strip()

    def unknown(self, text: str) -> set[str]:
        return set() if self.alphabet is None else set(text) - set(self.alphabet)

    @cached_property
    def _parts(self) -> "_Parts":
        return _read(self.model)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class _Parts:
    """What is read of a model.

    Attributes:
        processor: writes and reads text, by the places of the model's own order.
        tokens: in label order.
        order: the place of each label.
        labels: the label of each place.
        silent: labels that are no part of a text.
    """

    processor: tokenizers.Tokenizer
    tokens: tuple[str, ...]
    order: tuple[int, ...]
    labels: tuple[int, ...]
    silent: frozenset[int]


def _read(model: bytes) -> _Parts:
    """Raises ValueError if there is something else in the bytes than a BPE with a token for each label."""
    try:
        content = json.loads(model)
        # without its special tokens, or a transcript could hold them by their names
        plain = content | {"added_tokens": [], "post_processor": None}
        processor = tokenizers.Tokenizer.from_str(json.dumps(plain))
        kind, places = content["model"].get("type"), _places(content)
        added = [places[token["content"]] for token in content["added_tokens"]]
    except Exception as error:  # `tokenizers` raises nothing more special
        raise _refusal(f"{len(model)} bytes that are none ({error})") from error
    tokens = sorted(places, key=places.__getitem__)
    if kind != "BPE" or [places[token] for token in tokens] != list(range(len(tokens))) or END not in places:
        raise _refusal(
            f"{kind} with {len(tokens)} tokens, labels up to {max(places.values(), default='none')} and "
            f"{'an' if END in places else 'no'} {END}"
        )
    order = blank_first(len(tokens), places[END])
    labels = {place: label for label, place in enumerate(order)}
    return _Parts(
        processor,
        tuple(tokens[place] for place in order),
        tuple(order),
        tuple(labels[place] for place in range(len(order))),
        frozenset(labels[place] for place in (places[END], *added)),
    )


def _places(content: Mapping[str, Any]) -> dict[str, int]:
    """The places of all tokens in the model's own order, those that were added included."""
    return content["model"]["vocab"] | {token["content"]: token["id"] for token in content["added_tokens"]}


def _with_timestamps(content: Mapping[str, Any], size: int) -> dict[str, Any]:
    """With a name for each label that the network has behind the last of the file: timestamps, 20 ms apart."""
    places = _places(content)
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    stamps = [
        {"id": place, "content": f"<|{(place - places[NO_TIMESTAMPS] - 1) * _TIMESTAMP_SECONDS:.2f}|>"} | plain
        for place in range(len(places), size)
    ]
    return {**content, "added_tokens": [*content["added_tokens"], *stamps]}


def _told(generation: Mapping[str, Any]) -> str | None:
    """The language that texts are generated in, where its token says it."""
    match = re.fullmatch(r"<\|(\w+)\|>", str(generation.get("language")))
    return match and match[1]


def _compact(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _refusal(found: str) -> ValueError:
    return ValueError(
        "A byte-level BPE must give each label from 0 on to one token, and have Whisper's special tokens; found "
        f"{found}. Copy it again from the network's directory, or choose another tokenizer."
    )
