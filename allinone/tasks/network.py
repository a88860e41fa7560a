"""The plain CTC network: what an exported member is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from allinone.layers import LogMel, LogMelSettings
from allinone.models import Encoder, Layout
from allinone.subnet import SubnetConfig
from allinone.text import Tokenizer


@dataclass(frozen=True)
class CtcOutput:
    """What a CTC network says.

    Args:
        log_probs: ``(batch, time, vocab)`` in float32, in mixed precision too; blank is label 0.
        lengths: valid frames, ``(batch,)``.
    """

    log_probs: Tensor
    lengths: Tensor

    def select(self, rows: Sequence[int]) -> "CtcOutput":
        """That of some utterances, padded to the longest of them."""
        return CtcOutput(*select_rows(self.log_probs, self.lengths, rows))


def select_rows(x: Tensor, lengths: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Some utterances of ``(batch, time, ...)`` with lengths ``(batch,)``, cut to the longest of them."""
    index = torch.as_tensor(list(rows), device=lengths.device)
    lengths = lengths[index]
    return x[index, : int(lengths.max())], lengths


class CtcNetwork(nn.Module):
    """From audio to label probabilities, with ordinary layers only.

    Args:
        features: waveforms to features.
        encoder: features to frames.
        head: frames to labels.
    """

    def __init__(self, features: LogMel, encoder: Encoder, head: nn.Linear) -> None:
        super().__init__()
        self.features, self.encoder, self.head = features, encoder, head

    def forward(self, waveforms: Tensor, lengths: Tensor) -> CtcOutput:
        """Recognises.

        Args:
            waveforms: ``(batch, samples)`` between -1 and 1 at the features' sample rate.
            lengths: valid samples, ``(batch,)``.
        """
        encoded, lengths = self.encoder(*self.features(waveforms, lengths))
        return CtcOutput(self.head(encoded).log_softmax(-1, torch.float32), lengths)


def build_network(layout: Layout, features: LogMelSettings, tokenizer: Tokenizer, subnet: SubnetConfig) -> CtcNetwork:
    """A plain network of a member's size, its weights yet to be loaded."""
    return CtcNetwork(LogMel(features), layout.build(subnet), nn.Linear(layout.dim, tokenizer.vocab_size))
