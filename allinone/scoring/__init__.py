"""Scoring: errors of a hypothesis against its reference, and the NIST files that other scorers read."""

from allinone.scoring.alignment import edits
from allinone.scoring.trn import read_trn, write_trn
from allinone.scoring.wer import ErrorCounts, character_errors, word_errors
from allinone.scoring.words import trn_words

__all__ = ["ErrorCounts", "character_errors", "edits", "read_trn", "trn_words", "word_errors", "write_trn"]
