"""Decoding: from what a network heard to texts."""

from allinone.decoding.beam import Beam, NgramBeam
from allinone.decoding.decoder import Decode, Decoder, Heard, Hypothesis, NoCtc, NoSpeller, Speller
from allinone.decoding.greedy import Greedy, ctc_greedy
from allinone.decoding.joint import Joint
from allinone.decoding.rescoring import Rescoring

__all__ = [
    "Beam",
    "Decode",
    "Decoder",
    "Greedy",
    "Heard",
    "Hypothesis",
    "Joint",
    "NgramBeam",
    "NoCtc",
    "NoSpeller",
    "Rescoring",
    "Speller",
    "ctc_greedy",
]
