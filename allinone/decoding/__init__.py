"""Decoding: from a network's log probabilities to labels."""

from allinone.decoding.greedy import ctc_greedy

__all__ = ["ctc_greedy"]
