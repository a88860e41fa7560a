"""Beam search of flashlight-text as torchaudio offers it: the one file that knows how it wants things."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from allinone.decoding.lexicon import Lexicon

_MISSING = (
    "Beam search requires flashlight-text; found that it cannot be imported ({error}). Install it with "
    "`pip install 'allinone[beam]'`, or decode greedily (decoder=greedy)."
)


def beam_search(vocab_size: int, *, lexicon: Lexicon | None = None, arpa: Path | None = None, **options: float) -> Any:
    """A torchaudio ``CTCDecoder`` over labels that are named by their numbers; 0 is the blank.

    Scores of paths with the same outcome are added (``log_add``): without, and without an n-gram, a beam of any size
    finds what greedy decoding finds.

    Args:
        vocab_size: how many labels, the blank included.
        lexicon: of what words a hypothesis consists; None lets it consist of any labels. Where words have no separator,
            emissions need one more column behind the labels, for a silence that is never heard.
        arpa: the n-gram; None leaves it out.
        options: of torchaudio's ``ctc_decoder``.

    Raises:
        ValueError: if flashlight-text is missing, or the n-gram cannot be loaded.
    """
    try:
        from torchaudio.models.decoder import ctc_decoder
    except (ImportError, RuntimeError) as error:  # torchaudio turns whatever goes wrong into a RuntimeError
        raise ValueError(_MISSING.format(error=error.__cause__ or error)) from error
    labels = [str(label) for label in range(vocab_size)]
    separator = None if lexicon is None else lexicon.separator
    if lexicon is None:
        silence = labels[0]
    elif separator is None:  # the blank would be counted twice between words
        silence = "silence"
        labels.append(silence)
    else:
        silence = labels[separator]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        try:
            return ctc_decoder(
                lexicon=None if lexicon is None else _write(lexicon, Path(folder) / "lexicon.txt"),
                tokens=labels,
                lm=None if arpa is None else str(arpa),
                blank_token=labels[0],
                sil_token=silence,
                log_add=True,
                **options,  # pyright: ignore[reportArgumentType]
            )
        except RuntimeError as error:
            raise ValueError(
                f"An n-gram must be an ARPA file of at least two orders; found {arpa}, which KenLM refuses "
                f"({str(error).splitlines()[-1]}). Correct it, or write it again with a tool such as KenLM or IRSTLM."
            ) from error


def _write(lexicon: Lexicon, file: Path) -> str:
    """The lexicon as a file: a line for each spelling, the word and the names of its labels."""
    lines = (f"{word} {' '.join(map(str, labels))}\n" for word, labels in _variants(lexicon))
    file.write_text("".join(lines), encoding="utf-8")
    return str(file)


def _variants(lexicon: Lexicon) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Spellings as flashlight needs them.

    It leaves a word at the first frame of its last label, and hears no repetition of it afterwards, except of the
    silence. Without a separator the last label may last longer by a second spelling that ends in it twice: in CTC
    mode flashlight asks for no blank before the label that completes a word.
    """
    for word, labels in lexicon.spellings.items():
        yield word, labels
        if lexicon.separator is None:
            yield word, (*labels, labels[-1])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps from standard error what KenLM writes there while it loads; its errors are raised all the same."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
