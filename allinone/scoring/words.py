"""The words of a text as sclite reads them from a ``.trn`` file."""

import re

_EMPTY = "@"  # sclite's word for no word


def trn_words(text: str, case_sensitive: bool = False) -> list[str]:
    """Cuts a text into words, and takes sclite's marks off them.

    A semicolon and what follows it (tags) is no part of a word, nor is a backslash or an asterisk at the end (a
    mispronounced word); ``@`` is no word. Brackets are part of a word, as they are for sclite without ``-D``.

    Args:
        text: of one utterance.
        case_sensitive: whether capitals differ from small letters. Sclite folds A to Z only, this every script.

    Raises:
        ValueError: if the text has a curly bracket, which begins a choice between several texts.
    """
    if "{" in text:
        raise ValueError(
            f"Scoring requires one text for each utterance; found a choice in curly brackets: {text!r}. "
            "Write one of the alternatives."
        )
    words = (_bare(word) for word in (text if case_sensitive else text.lower()).split())
    return [word for word in words if word != _EMPTY]


def _bare(word: str) -> str:
    word = re.split(r"(?<!\\);", word, maxsplit=1)[0].replace("\\", "")
    return word[:-1] if len(word) > 1 and word.endswith("*") else word
