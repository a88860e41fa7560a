"""Text: what a transcript becomes before training, and how characters or pieces become labels."""

from allinone.text.normalize import Normalizer
from allinone.text.switchboard import SwitchboardNormalizer
from allinone.text.tokenizer import BLANK, CharTokenizer, SentencePieceTokenizer, Tokenizer
from allinone.text.vocabulary import VocabularyTokenizer

__all__ = [
    "BLANK",
    "CharTokenizer",
    "Normalizer",
    "SentencePieceTokenizer",
    "SwitchboardNormalizer",
    "Tokenizer",
    "VocabularyTokenizer",
]
