"""Training: the papers' objective, one-pass steps, and runs that can be stopped and continued."""

from allinone.training.fit import FitSettings, fit
from allinone.training.module import OnePassModule
from allinone.training.objective import Objective, Weights
from allinone.training.optim import AdamW
from allinone.training.schedule import Constant, CosineDecay, InverseSquareRoot, LinearDecay

__all__ = [
    "AdamW",
    "Constant",
    "CosineDecay",
    "FitSettings",
    "InverseSquareRoot",
    "LinearDecay",
    "Objective",
    "OnePassModule",
    "Weights",
    "fit",
]
