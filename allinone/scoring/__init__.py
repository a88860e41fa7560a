"""Scoring: errors of a hypothesis against its reference, significance, and the NIST files that other scorers read."""

from allinone.scoring.alignment import edits
from allinone.scoring.mapsswe import MatchedPairs, mapsswe
from allinone.scoring.significance import Comparison, Pair, System, compare
from allinone.scoring.slices import Slicing, Utterance
from allinone.scoring.trn import read_trn, write_trn
from allinone.scoring.wer import ErrorCounts, character_errors, word_errors
from allinone.scoring.words import trn_words

__all__ = [
    "Comparison",
    "ErrorCounts",
    "MatchedPairs",
    "Pair",
    "Slicing",
    "System",
    "Utterance",
    "character_errors",
    "compare",
    "edits",
    "mapsswe",
    "read_trn",
    "trn_words",
    "word_errors",
    "write_trn",
]
