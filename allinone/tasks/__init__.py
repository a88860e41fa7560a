"""Tasks: ways of recognising speech, each a model with its loss and its outputs."""

from allinone.tasks.description import describe, restore
from allinone.tasks.network import CtcNetwork, CtcOutput, build_network

__all__ = ["CtcNetwork", "CtcOutput", "build_network", "describe", "restore"]
