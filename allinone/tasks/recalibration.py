"""Recalibration: batch-norm statistics of members, measured on training batches once the weights are what they are."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor

from allinone.data.batch import Batch
from allinone.layers import MaskedBatchNorm
from allinone.layers.dropout import Dropout
from allinone.layers.elastic import Elastic
from allinone.models.elastic_encoder import prefixes
from allinone.subnet import SubnetConfig
from allinone.tasks.speech import SpeechTask


class Moments:
    """Mean and variance of each channel over all frames that were added, in double precision."""

    def __init__(self) -> None:
        self.frames, self.sum, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, x: Tensor, padding: Tensor) -> None:
        """Adds the valid frames of ``(batch, time, dim)``; ``(batch, time)`` is True at padding."""
        valid = x[~padding].double()
        self.frames += len(valid)
        self.sum = self.sum.to(valid) + valid.sum(0)
        self.squares = self.squares.to(valid) + valid.square().sum(0)

    @property
    def mean(self) -> Tensor:
        """``(dim,)`` in float32."""
        return (self.sum / self.frames).float()

    @property
    def variance(self) -> Tensor:
        """``(dim,)`` in float32; the sum of squared deviations is divided by the number of frames."""
        return (self.squares / self.frames - (self.sum / self.frames).square()).clamp(min=0).float()


Observed = list[dict[str, Moments]]  # for each layer, by the name of the norm


@torch.no_grad()
def recalibrate(
    task: SpeechTask, batches: Iterable[Batch], members: Sequence[SubnetConfig], *, device: torch.device | str = "cpu"
) -> None:
    """Gives members of a network with batch norm their statistics; with another network it does nothing.

    One pass over the batches. Each norm normalises with the statistics of the batch, as in training, and what it saw is
    summed up over all valid frames (the post-statistics of universally slimmable networks, Yu & Huang 2019; as in
    Once-for-all, Cai et al. 2020, and BigNAS, Yu et al. 2020). There is no dropout and no augmentation.

    What members share is computed once for a batch; a member whose encoder's layers are the first of another's costs
    nothing.
    A member's statistics do not depend on who is recalibrated with it. The weights stay as they are.

    Args:
        task: the supernet; it is put on the device and comes back in the mode it was in.
        batches: training batches; they are not read where they are not needed.
        members: who gets new statistics.
        device: where to compute.

    Raises:
        ValueError: if there are no batches.
    """
    if not task.encoder.needs_statistics:
        return
    training = task.training
    task.to(device).train()
    for module in task.modules():
        if isinstance(module, Dropout):
            module.eval()
    observed: dict[SubnetConfig, Observed] = {
        encoder: [{} for _ in encoder.layers] for encoder in _not_contained(members)
    }
    seen = 0
    try:
        with torch.compiler.set_stance("force_eager"):  # what was compiled without hooks runs none
            for batch in batches:
                seen += 1
                batch = batch.to(device)
                shared = task.shared(batch.waveforms, batch.lengths)
                for encoder, layers in observed.items():
                    with _observing(task, layers):
                        task.encode(shared, encoder)
    finally:
        task.train(training)
    if not seen:
        raise ValueError(
            "Recalibration requires at least one batch of speech; found none. Hand over batches of training data."
        )
    for encoder, layers in observed.items():
        for prefix, norms in zip(prefixes(encoder), layers, strict=True):
            task.encoder.statistics[prefix.name] = {
                f"{name}.{kind}": getattr(moments, kind)
                for name, moments in norms.items()
                for kind in ("mean", "variance")
            }


def _not_contained(members: Iterable[SubnetConfig]) -> list[SubnetConfig]:
    """The encoders of members that are not the first layers of another one."""
    kept: list[SubnetConfig] = []
    for member in sorted(members, key=lambda member: -member.depth):
        if not any(deeper.layers[: member.depth] == member.layers for deeper in kept):
            kept.append(member.encoder)
    return kept


@contextmanager
def _observing(task: SpeechTask, layers: Observed) -> Iterator[None]:
    """Adds up what the batch norms of the first layers are given."""
    hooks = []
    for elastic, moments in zip(task.encoder.layers, layers, strict=False):
        for name, norm in cast(Elastic, elastic).module.named_modules():
            if isinstance(norm, MaskedBatchNorm):
                observer = moments.setdefault(name, Moments())

                def observe(module: Any, inputs: tuple[Tensor, Tensor], observer: Moments = observer) -> None:
                    observer.add(*inputs)

                hooks.append(norm.register_forward_pre_hook(observe))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
