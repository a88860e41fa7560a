"""What a supernet computes in training: everything that a loss may be about."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Output:
    """What one member says to a batch whose texts it is told.

    Args:
        log_probs: of the CTC output, ``(batch, time, vocab)`` in float32, in mixed precision too; blank is label 0.
            None if there is no such output.
        lengths: valid frames, ``(batch,)``.
        encoded: the frames, ``(batch, time, dim)``.
        shallower: the same as ``log_probs``, said after fewer layers: of each depth that was asked for.
        spelt: of the attention decoder, each label after those before it: ``(batch, labels + 1, vocab)`` in float32;
            None if there is no decoder.
        spelt_lengths: valid labels, the end included, ``(batch,)``.
    """

    log_probs: Tensor | None
    lengths: Tensor
    encoded: Tensor
    shallower: tuple[Tensor, ...]
    spelt: Tensor | None
    spelt_lengths: Tensor

    def select(self, rows: Sequence[int]) -> "Output":
        """That of some utterances, padded to the longest of them."""
        encoded, lengths = select_rows(self.encoded, self.lengths, rows)
        labels = self.spelt_lengths
        return Output(
            None if self.log_probs is None else select_rows(self.log_probs, self.lengths, rows)[0],
            lengths,
            encoded,
            tuple(select_rows(shallower, self.lengths, rows)[0] for shallower in self.shallower),
            None if self.spelt is None else select_rows(self.spelt, labels, rows)[0],
            labels[torch.as_tensor(list(rows), device=labels.device)],
        )

    def detach(self) -> "Output":
        """The same as a teacher gives it."""
        log_probs = None if self.log_probs is None else self.log_probs.detach()
        spelt = None if self.spelt is None else self.spelt.detach()
        return Output(log_probs, self.lengths, self.encoded.detach(), (), spelt, self.spelt_lengths)


def select_rows(x: Tensor, lengths: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Some utterances of ``(batch, time, ...)`` with lengths ``(batch,)``, cut to the longest of them."""
    index = torch.as_tensor(list(rows), device=lengths.device)
    lengths = lengths[index]
    return x[index, : int(lengths.max())], lengths
