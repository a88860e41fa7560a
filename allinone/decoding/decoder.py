"""What a decoder is: settings that, for a tokenizer, build a function from log probabilities to texts."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from allinone.text import Tokenizer

# log_probs (batch, time, vocab) and valid frames (batch,) to a text for each utterance
Decode = Callable[[Tensor, Tensor], list[str]]


class Decoder(Protocol):
    """Settings of a way of decoding: a frozen dataclass."""

    def build(self, tokenizer: Tokenizer) -> Decode:
        """The decoder for these labels. Raises ValueError if something that it needs is missing or does not fit."""
        ...
