"""What it costs to import a pretrained directory: seconds, memory, and both beside `transformers`."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from allinone.models import TransformerLayout
from allinone.models.huggingface import pretrained_features, pretrained_layout
from allinone.models.weight_files import weight_files
from allinone.quantization import Quantizer
from allinone.report.interleaved import median_ratio
from allinone.report.memory import Spent, in_fresh_process
from allinone.report.published_import import prepare_published, read_published, read_published_into_memory
from allinone.subnet import SearchSpace
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer
from allinone.training.pretrained import labels_of, take_over_pretrained

OURS, PUBLISHED, IN_MEMORY = "ours", "transformers", "transformers, in memory"


@dataclass(frozen=True)
class ImportCost:
    """What one way of reading a directory costs.

    Args:
        way: which one.
        spent: in every round.
        reference: by `transformers` in the same rounds; None if it is not installed.
        weights: bytes of the files that hold the weights.
    """

    way: str
    spent: tuple[Spent, ...]
    reference: tuple[Spent, ...] | None
    weights: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values: median seconds, the highest peak, and its ratio to the bytes of the files."""
        timings = [spent.timing for spent in self.spent]
        peaks = [spent.peak for spent in self.spent if spent.peak is not None]
        base = None if self.reference is None else [spent.timing for spent in self.reference]
        return {
            "import": self.way,
            "wall_seconds": statistics.median(timing.wall for timing in timings),
            "process_seconds": statistics.median(timing.process for timing in timings),
            "wall_ratio": None if base is None else median_ratio(timings, base, "wall"),
            "process_ratio": None if base is None else median_ratio(timings, base, "process"),
            "peak_memory": max(peaks, default=None),
            "memory_ratio": max(peaks) / self.weights if peaks else None,
            "weights_bytes": self.weights,
        }


@dataclass(frozen=True)
class PretrainedBench:
    """A directory that is read in fresh processes: by us, to a network that is ready to be trained, and by others.

    Our members are the whole network and half of its units and heads, at 8 and 4 bits, so that an import sorts units
    and heads by their weights and sets scales.

    Args:
        folder: the directory.
        quantizer: how weights are rounded.
    """

    folder: Path
    quantizer: Quantizer

    def measure(self, rounds: int, progress: Callable[[str], None] = lambda way: None) -> list[ImportCost]:
        """Takes turns; the round before the first, after which files are in the system's cache, is not counted.

        Raises:
            ValueError: if there are no rounds, or if the directory cannot be imported.
        """
        if rounds < 1:
            raise ValueError(f"A measurement requires at least 1 round; found rounds={rounds}. Ask for more.")
        weights = sum(file.stat().st_size for file in weight_files(self.folder))
        ways: dict[str, Callable[[], Spent]] = {OURS: self._ours}
        if find_spec("transformers") is not None:
            ways |= {PUBLISHED: lambda: self._theirs(read_published)}
            ways |= {IN_MEMORY: lambda: self._theirs(read_published_into_memory)}
        spent: dict[str, list[Spent]] = {way: [] for way in ways}
        for number in range(rounds + 1):
            for way, read in ways.items():
                progress(way)
                found = read()
                if number:
                    spent[way].append(found)
        reference = tuple(spent[PUBLISHED]) if PUBLISHED in spent else None
        return [ImportCost(way, tuple(found), reference, weights) for way, found in spent.items()]

    def _ours(self) -> Spent:
        return in_fresh_process(import_pretrained, self.folder, self.quantizer)

    def _theirs(self, read: Callable[[Path], object]) -> Spent:
        return in_fresh_process(read, self.folder, ready=prepare_published)


def import_pretrained(folder: Path, quantizer: Quantizer) -> SpeechTask:
    """Does what a training does with a directory that it starts from, up to a network that is ready to be trained."""
    layout = pretrained_layout(folder)
    task = SpeechTask(
        layout=layout,
        space=halves(layout),
        tokenizer=labels_of(folder) or CharTokenizer(),
        quantizer=quantizer,
        features=pretrained_features(folder),
        first_scales=False,
    )
    take_over_pretrained(task, folder)
    return task


def halves(layout: TransformerLayout) -> SearchSpace:
    """Members with all units and heads and with half of them, where these are even numbers."""
    widths, heads = ((size,) if size % 2 else (size // 2, size) for size in (layout.ffn_dim, layout.num_heads))
    return SearchSpace((layout.num_layers,), widths, (4, 8), heads=heads)
