"""Compares what an export wrote with the supernet: an export that differs does not leave the machine."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from allinone.decoding import Heard
from allinone.subnet import SubnetConfig

if TYPE_CHECKING:
    from allinone.tasks.speech import SpeechTask

_SECONDS = (4.0, 2.7, 1.3, 0.6)  # of the waveforms that both networks hear
_HEADER = 0.02  # of a file above 1 MB
_LARGE = 1_000_000
_LABELS = 5


def verify_size(payload: int, announced: int, file: Path) -> None:
    """Makes sure that a file of weights has the size that was announced before it was written.

    Args:
        payload: bytes of its tensors.
        announced: bytes that the cost of the member counts.
        file: the file.

    Raises:
        RuntimeError: if it has not.
    """
    if payload != announced:
        raise _refusal("the tensors", f"{announced} bytes", f"{payload}")
    size = file.stat().st_size
    if size > _LARGE and size - payload > _HEADER * payload:
        raise _refusal("the file", f"{payload} bytes and at most 2 % more", f"{size}")


def verify_outputs(network: nn.Module, task: "SpeechTask", subnet: SubnetConfig) -> None:
    """Makes sure that a plain network is the member, on a padded batch.

    Args:
        network: as read from the disk.
        task: the supernet, on the CPU and in evaluation mode.
        subnet: the member.

    Raises:
        ValueError: if the supernet's own outputs are not finite.
        RuntimeError: if the outputs are not the supernet's, to the last bit.
    """
    waveforms, lengths = _batch(task.features.settings.sample_rate)
    with torch.no_grad():
        both = task(waveforms, lengths, subnet), network(waveforms, lengths)
        required, found = (_said(heard, task.tokenizer.vocab_size) for heard in both)
    if not all(output.isfinite().all() for output in required):
        raise ValueError(
            f"The outputs of {subnet.name} must be finite; found NaN or infinity. "
            "This training has diverged: export from an earlier checkpoint."
        )
    for wanted, got in zip(required, found, strict=True):
        if not torch.equal(wanted, got):
            raise _refusal("the outputs", "exactly those of the supernet", f"a difference of {_distance(wanted, got)}")


def verify_close(network: nn.Module, task: "SpeechTask", subnet: SubnetConfig, tolerance: float) -> None:
    """Makes sure that a plain network says what the member says with the same outputs, on a padded batch.

    Args:
        network: as read from the disk, with some of the outputs that the supernet has.
        task: the supernet, on the CPU and in evaluation mode.
        subnet: the member.
        tolerance: how far logarithms of probabilities may be apart.

    Raises:
        RuntimeError: if they are further apart.
    """
    waveforms, lengths = _batch(task.features.settings.sample_rate)
    with torch.no_grad():
        found, heard = network(waveforms, lengths), task(waveforms, lengths, subnet)
        required = replace(
            heard,
            log_probs=None if found.log_probs is None else heard.required_log_probs(),
            speller=None if found.speller is None else heard.required_speller(),
        )
        both = [_log_probs(each, task.tokenizer.vocab_size) for each in (required, found)]
    distance = max(_distance(wanted, got) for wanted, got in zip(*both, strict=True))
    if not distance <= tolerance or not torch.equal(required.lengths, found.lengths):
        raise _refusal("the outputs", f"within {tolerance} of the supernet's", f"a difference of {distance}")


def _distance(wanted: torch.Tensor, got: torch.Tensor) -> float:
    """The largest difference; infinite between other shapes."""
    return (wanted - got).abs().max().item() if wanted.shape == got.shape else float("inf")


def _said(heard: Heard, vocab_size: int) -> list[torch.Tensor]:
    """All that a network makes of a batch: frames, their lengths, and what its outputs say."""
    return [heard.lengths, heard.encoded, *_log_probs(heard, vocab_size)]


def _log_probs(heard: Heard, vocab_size: int) -> list[torch.Tensor]:
    """What its outputs say: CTC to the frames, the attention decoder to a text without sense."""
    said = [] if heard.log_probs is None else [heard.log_probs]
    if heard.speller is not None:
        labels = torch.arange(_LABELS).expand(len(heard.lengths), -1) % vocab_size
        said.append(heard.speller(heard.encoded, heard.lengths, labels))
    return said


def _batch(sample_rate: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise ``(batch, samples)`` of several lengths, padded."""
    lengths = torch.tensor([int(seconds * sample_rate) for seconds in _SECONDS])
    generator = torch.Generator().manual_seed(0)
    waveforms = 0.1 * torch.randn(len(lengths), int(lengths.max()), generator=generator)
    return waveforms * (torch.arange(waveforms.shape[1]) < lengths[:, None]), lengths


def _refusal(what: str, required: str, found: str) -> RuntimeError:
    return RuntimeError(
        f"In an export {what} must be {required}; found {found}. "
        "Nothing was written. This is a fault of allinone or of the disk: try once more, then report it."
    )
