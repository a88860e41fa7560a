"""A batch: padded waveforms and labels of several utterances, which can be split into parts of equal duration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Batch:
    """Utterances that one step computes together.

    Attributes:
        waveforms: ``(batch, samples)`` float32 in -1 .. 1 at 16 kHz, zero behind each utterance's end.
        lengths: ``(batch,)`` int64, samples of each utterance.
        labels: ``(batch, labels)`` int64, zero behind each utterance's end.
        label_lengths: ``(batch,)`` int64.
        seeds: ``(batch,)`` int64, a number per utterance and epoch from which augmentation is drawn.
        ids: names of the utterances.
        texts: normalised transcripts.
    """

    waveforms: Tensor
    lengths: Tensor
    labels: Tensor
    label_lengths: Tensor
    seeds: Tensor
    ids: tuple[str, ...]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def seconds(self) -> float:
        """Audio seconds, padding not counted."""
        return int(self.lengths.sum()) / SAMPLE_RATE

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The same batch with its tensors on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, from where copies to a GPU run beside the computation."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        tensors = ("waveforms", "lengths", "labels", "label_lengths", "seeds")
        return replace(self, **{name: change(getattr(self, name)) for name in tensors})

    def select(self, indices: Sequence[int]) -> "Batch":
        """The utterances at these indices, padded to the longest of them."""
        rows = torch.as_tensor(indices, dtype=torch.long, device=self.lengths.device)
        lengths, label_lengths = self.lengths[rows], self.label_lengths[rows]
        return Batch(
            waveforms=self.waveforms[rows, : int(lengths.max())],
            lengths=lengths,
            labels=self.labels[rows, : int(label_lengths.max())],
            label_lengths=label_lengths,
            seeds=self.seeds[rows],
            ids=tuple(self.ids[index] for index in indices),
            texts=tuple(self.texts[index] for index in indices),
        )

    def parts(self, count: int) -> list[tuple[int, ...]]:
        """Indices of parts of about equal total duration, a pure function of the lengths.

        The longest utterance goes first, always to the part that holds least so far (Graham's rule). There are fewer
        parts than asked for when there are fewer utterances.

        Raises:
            ValueError: if ``count`` is below 1.
        """
        if count < 1:
            raise ValueError(f"Batch.parts requires at least 1 part, found {count}; ask for 1 or more")
        count = min(count, len(self))
        lengths = self.lengths.tolist()
        members: list[list[int]] = [[] for _ in range(count)]
        totals = [0] * count
        for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
            part = min(range(count), key=lambda part: (totals[part], len(members[part]), part))
            members[part].append(index)
            totals[part] += lengths[index]
        return [tuple(sorted(indices)) for indices in members]


def collate(
    waveforms: Sequence[Tensor],
    labels: Sequence[Sequence[int]],
    seeds: Sequence[int],
    ids: Sequence[str],
    texts: Sequence[str],
) -> Batch:
    """Pad utterances to one batch.

    Args:
        waveforms: 1-D tensors, one an utterance.
        labels: labels of each.
        seeds: a number for each.
        ids: name of each.
        texts: transcript of each.
    """
    targets = [torch.tensor(list(row), dtype=torch.long) for row in labels]
    return Batch(
        waveforms=torch.nn.utils.rnn.pad_sequence(list(waveforms), batch_first=True),
        lengths=torch.tensor([len(waveform) for waveform in waveforms], dtype=torch.long),
        labels=torch.nn.utils.rnn.pad_sequence(targets, batch_first=True),
        label_lengths=torch.tensor([len(target) for target in targets], dtype=torch.long),
        seeds=torch.tensor(list(seeds), dtype=torch.long),
        ids=tuple(ids),
        texts=tuple(texts),
    )
