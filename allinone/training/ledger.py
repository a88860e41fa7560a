"""The cost ledger: what each member's share of a run cost, in seconds and in single runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Entry = dict[str, float]


@dataclass
class Ledger:
    """Counts the time spent on each member.

    Args:
        largest: name of the largest member, whose passes are the measure of a single run.
        synchronise: waits until the device has done what it was given; nothing on a CPU.
    """

    largest: str
    synchronise: Callable[[], None] = lambda: None
    entries: dict[str, Entry] = field(default_factory=dict)
    _part: str | None = None
    _since: float = 0.0

    def begin(self, part: str, audio_seconds: float = 0.0) -> None:
        """Work on a part begins, and on the part before ends."""
        self.end()
        self._part = part
        entry = self.entries.setdefault(part, {"seconds": 0.0, "audio_seconds": 0.0, "passes": 0})
        entry["audio_seconds"] += audio_seconds
        entry["passes"] += 1 if audio_seconds else 0

    def end(self) -> None:
        """The work on the present part ends."""
        self.synchronise()
        now = time.perf_counter()
        if self._part is not None:
            self.entries[self._part]["seconds"] += now - self._since
        self._part, self._since = None, now

    def summary(self) -> dict[str, Any]:
        """All entries, and the cost of the run in single runs.

        A single run trains the largest member alone on the same audio: it pays the shared parts and the optimiser as
        well, and the largest member's measured cost per second of audio for all of the audio.
        """
        seconds = sum(entry["seconds"] for entry in self.entries.values())
        common = sum(entry["seconds"] for part, entry in self.entries.items() if part in ("shared", "optimizer"))
        largest = self.entries.get(self.largest)
        audio = self.entries.get("shared", {}).get("audio_seconds", 0.0)
        single = None
        if largest and largest["audio_seconds"]:
            single = common + largest["seconds"] / largest["audio_seconds"] * audio
        return {
            "parts": {name: dict(entry) for name, entry in self.entries.items()},
            "seconds": seconds,
            "audio_seconds": audio,
            "single_run_seconds": single,
            "single_runs": seconds / single if single else None,
        }
