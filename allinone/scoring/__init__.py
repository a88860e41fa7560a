"""Scoring: errors of a hypothesis against its reference, and the NIST files that other scorers read."""

from allinone.scoring.trn import read_trn, write_trn
from allinone.scoring.wer import ErrorCounts, character_errors, word_errors

__all__ = ["ErrorCounts", "character_errors", "read_trn", "word_errors", "write_trn"]
