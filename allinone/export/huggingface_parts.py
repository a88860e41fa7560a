"""What the two kinds of Hugging Face directories have in common: names, and the value that a directory is made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from allinone.models import DecoderLayout, TransformerLayout

WEIGHTS, TOKENIZER_CONFIG, CARD = "model.safetensors", "tokenizer_config.json", "README.md"
ENCODER = "encoder."
CTC, DECODER = "CTC output", "attention decoder"  # in words


@dataclass(frozen=True, kw_only=True)
class Directory:
    """A member as `transformers` takes it.

    Args:
        layout: of its encoder, all layers equal.
        attention: of its decoder, all layers equal; None if it has the CTC output in its place.
        vocab_size: number of labels.
        left_out: the output of the member that has no place in it, :data:`CTC` or :data:`DECODER`; None if there is no
            such.
        tensors: under their names.
        contents: of the JSON files, by their names.
    """

    layout: TransformerLayout
    attention: DecoderLayout | None
    vocab_size: int
    left_out: str | None
    tensors: Mapping[str, Tensor]
    contents: Mapping[str, Mapping[str, Any]]

    @property
    def kept(self) -> str:
        """The output that it has, in words."""
        return CTC if self.attention is None else DECODER


def part(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights of a part of a network, under their names in it."""
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
