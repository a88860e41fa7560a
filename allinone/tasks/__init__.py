"""Tasks: ways of recognising speech, each a model with its outputs for training and for decoding."""

from allinone.tasks.description import describe, restore
from allinone.tasks.network import SpeechNetwork, build_network

__all__ = ["SpeechNetwork", "build_network", "describe", "restore"]
