"""How fast recordings become texts: the encoder and ways of decoding, timed in turns."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from allinone.data import Batch
from allinone.decoding import Decode, Heard
from allinone.report.interleaved import Timing, interleaved
from allinone.subnet import SubnetConfig
from allinone.tasks.speech import SpeechTask

ENCODER = "encoder"


@dataclass(frozen=True)
class DecodeCost:
    """What one part costs.

    Args:
        part: ``encoder``, or the name of a decoder.
        audio: seconds of speech that each round hears.
        timings: of every round.
        encoder: of the encoder in the same rounds.
    """

    part: str
    audio: float
    timings: tuple[Timing, ...]
    encoder: tuple[Timing, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: median seconds, and medians of how many seconds of audio a second does.

        ``speed`` is that of the part alone, ``whole`` that of it and the encoder.
        """
        document: dict[str, Any] = {"part": self.part, "audio_seconds": self.audio}
        kinds: tuple[Literal["process", "wall"], ...] = ("process", "wall")
        for kind in kinds:
            alone = [getattr(timing, kind) for timing in self.timings]
            encoder = [getattr(timing, kind) for timing in self.encoder]
            both = alone if self.part == ENCODER else [sum(pair) for pair in zip(alone, encoder, strict=True)]
            document |= {
                f"{kind}_seconds": statistics.median(alone),
                f"{kind}_speed": self.audio / statistics.median(alone),
                f"{kind}_whole": self.audio / statistics.median(both),
            }
        return document


@dataclass(frozen=True, kw_only=True)
class DecodeBench:
    """Decoding of some recordings, again and again.

    Args:
        task: the supernet.
        member: who listens.
        batches: the recordings, at least one.
        decoders: by name.
        device: where to compute.
    """

    task: SpeechTask
    member: SubnetConfig
    batches: Sequence[Batch]
    decoders: Mapping[str, Decode]
    device: str = "cpu"

    @torch.inference_mode()
    def measure(self, rounds: int, progress: Callable[[str], None] = lambda part: None) -> list[DecodeCost]:
        """Times the encoder and the decoders in turns; the encoder comes first.

        Each round is all batches. Decoders are given what the encoder made of them before.
        """
        task = self.task.eval().to(self.device)
        batches = [batch.to(self.device) for batch in self.batches]

        def encode() -> list[Heard]:
            return [task(batch.waveforms, batch.lengths, self.member) for batch in batches]

        heard = encode()

        def run(decode: Decode) -> Callable[[], object]:
            return lambda: [decode(one) for one in heard]

        actions = {ENCODER: encode, **{name: run(decode) for name, decode in self.decoders.items()}}
        timings = interleaved(actions, rounds, synchronise=self._synchronise, progress=progress)
        audio, encoder = sum(batch.seconds for batch in batches), tuple(timings[ENCODER])
        return [DecodeCost(part, audio, tuple(measured), encoder) for part, measured in timings.items()]

    def _synchronise(self) -> None:
        if torch.device(self.device).type == "cuda":
            torch.cuda.synchronize()
