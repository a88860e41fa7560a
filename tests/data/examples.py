"""Small corpora of known faults that the data tests share."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def frames(samples: int) -> int:
    """Encoder frames of a typical network: one in 40 ms."""
    return samples // 640


def tone(seconds: float, rate: int = RATE, pitch: float = 440.0) -> np.ndarray:
    """Samples ``(samples,)`` of a sine at half of full scale."""
    return 0.5 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def write_table(folder: Path, rows: Iterable[tuple[str, str, str]]) -> str:
    """A table of ids, recordings and texts, without splits."""
    lines = ["id\taudio\ttext", *("\t".join(row) for row in rows)]
    table = folder / "lines.tsv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(table)


def write_bad_corpus(folder: Path) -> str:
    """The table of a corpus with ten good utterances and one or two of every fault."""
    rows = []
    for number in range(10):
        soundfile.write(folder / f"good-{number}.wav", tone(1.0, pitch=300 + 50 * number), RATE)
        rows.append((f"good-{number}", f"good-{number}.wav", f"word {'abcdefghij'[number]}"))
    recordings = {
        "no-samples": np.zeros(0, np.float32),
        "silent": np.zeros(RATE, np.float32),
        "long": tone(4.0),
        "short": tone(0.3),
        "repeats": tone(0.4),
    }
    for name, samples in recordings.items():
        soundfile.write(folder / f"{name}.wav", samples, RATE)
    soundfile.write(folder / "not-finite.wav", np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    (folder / "torn.wav").write_bytes((folder / "good-0.wav").read_bytes()[:20])
    (folder / "noise.mp3").write_bytes(b"this is no recording")
    rows += [(name, f"{name}.wav", "a word") for name in ("no-samples", "silent", "long", "not-finite", "torn", "gone")]
    rows += [
        ("noise", "noise.mp3", "a word"),
        ("good-1", "good-2.wav", "once more"),
        ("gulp", "good-3.wav", "<gulp> ..."),
        ("blank", "good-3.wav", ""),
        ("digits", "good-4.wav", "in 24 hours"),
        ("short", "short.wav", "far too many letters"),
        ("repeats", "repeats.wav", "aabbccdd"),  # 10 frames, 8 letters, 4 pairs of equal neighbours
        ("malformed", "good-5.wav", "a\tword"),
    ]
    return write_table(folder, rows)
