"""Text: what a transcript becomes before training, and how characters or pieces become labels."""

from allinone.text.bpe import BpeTokenizer
from allinone.text.normalize import Normalizer
from allinone.text.pretrained import read_tokenizer
from allinone.text.switchboard import SwitchboardNormalizer
from allinone.text.tokenizer import BLANK, CharTokenizer, SentencePieceTokenizer, Tokenizer
from allinone.text.vocabulary import VocabularyTokenizer

__all__ = [
    "BLANK",
    "BpeTokenizer",
    "CharTokenizer",
    "Normalizer",
    "SentencePieceTokenizer",
    "SwitchboardNormalizer",
    "Tokenizer",
    "VocabularyTokenizer",
    "read_tokenizer",
]
