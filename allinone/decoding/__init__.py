"""Decoding: from a network's log probabilities to texts."""

from allinone.decoding.beam import Beam, NgramBeam
from allinone.decoding.decoder import Decode, Decoder
from allinone.decoding.greedy import Greedy, ctc_greedy

__all__ = ["Beam", "Decode", "Decoder", "Greedy", "NgramBeam", "ctc_greedy"]
