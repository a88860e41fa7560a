"""Miniature corpora in the layouts of LibriSpeech, Switchboard-1 and NIST's evaluations of telephone speech."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from tests.data.examples import tone

PARTS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other")
WORDS = ("THE", "OLD", "DOG", "SAYS", "SO")
CALL_RATE = 8000


def write_librispeech(folder: Path, parts: Iterable[str] = PARTS, chapters: int = 2, utterances: int = 3) -> Path:
    """Write ``LibriSpeech/<part>/<speaker>/<chapter>`` with FLAC files and their transcripts.

    Returns:
        The folder ``LibriSpeech``.
    """
    top = folder / "LibriSpeech"
    for place, part in enumerate(parts):
        for chapter in range(chapters):
            speaker, book = 100 + place, 1000 + chapter
            here = top / part / str(speaker) / str(book)
            here.mkdir(parents=True)
            lines = []
            for number in range(utterances):
                name = f"{speaker}-{book}-{number:04d}"
                pitch = 200 + 40 * place + 90 * chapter + 30 * number
                soundfile.write(here / f"{name}.flac", tone(1.6 + 0.1 * number, pitch=pitch), 16_000)
                turn = (place + 2 * chapter + number) % len(WORDS)
                lines.append(f"{name} {' '.join(WORDS[turn:] + WORDS[:turn])}")
            (here / f"{speaker}-{book}.trans.txt").write_text("\n".join(lines) + "\n")
    return top


def write_call(path: Path, pitches: tuple[float, float], seconds: float = 20.0, rate: int = CALL_RATE) -> np.ndarray:
    """Write a SPHERE file of two channels, mu-law, with a tone in each.

    Returns:
        Its samples, ``(samples, channels)``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.stack([tone(seconds, rate, pitch) for pitch in pitches], axis=1)
    soundfile.write(path, samples, rate, format="NIST", subtype="ULAW")
    return samples


def write_switchboard(folder: Path, conversations: int = 3) -> Path:
    """Write LDC97S62, its transcripts, and all evaluation sets where the configuration expects them.

    Each conversation of Switchboard-1 has per side two sentences, one of noise, one hesitation and silence between.

    Returns:
        The folder of all packages.
    """
    texts = "swb_ms98_transcriptions"
    for number in range(2001, 2001 + conversations):
        write_call(folder / "LDC97S62" / "swb1_d1" / "data" / f"sw0{number}.sph", (300.0, 500.0))
        for side, words in (("A", "um-hum i [laughter-think] th[is]- so"), ("B", "uh [it'n/isn't] them_1 yuppies")):
            name = f"sw{number}{side}-ms98-a"
            spoken = ["[silence]", words, "[noise]", f"well okay {'then ' * (number % 5)}", "uh", "[silence]"]
            lines = [f"{name}-{i + 1:04d} {3 * i}.25 {3 * i + 3}.0 {text}" for i, text in enumerate(spoken)]
            here = folder / texts / str(number)[:2] / str(number)
            here.mkdir(parents=True, exist_ok=True)
            (here / f"{name}-trans.text").write_text("\n".join(lines) + "\n")
    reference = "LDC2002T43/reference/hub5e00.english.000405.stm"
    write_evaluation(folder, "LDC2002S09/hub5e_00/english", reference, "AB", "en_4156")
    for package, year, channels, other in (("04S11", "02", "AB", "sw_30001"), ("07S10", "03", "12", "fsh_60262")):
        data, place = f"LDC20{package}/data", f"eval{year}/english/cts"
        write_evaluation(folder, f"{data}/audio/{place}", f"{data}/references/{place}/all.stm", channels, other)
    return folder


def write_evaluation(folder: Path, audio: str, reference: str, channels: str, other: str) -> None:
    """Write two conversations of a set, of which one is Switchboard's, and its STM reference."""
    lines = [';; CATEGORY "0" "" ""', ';; LABEL "O" "Overall" "Overall"']
    for name in ("sw_4390", other):
        write_call(folder / audio / f"{name}.sph", (350.0, 450.0))
        first, second = channels
        lines += [
            f"{name} {first} {name}_A 0.00 2.00 <O,en,F,en-F> IGNORE_TIME_SEGMENT_IN_SCORING",
            f"{name} {first} {name}_A 2.00 4.50 <O,en,F,en-F> (%HESITATION) WELL (TH-) THEN OKAY",
            f"{name} {second} {name}_B 5.00 8.25 <O,en,M,en-M> UH-HUH {{THEY'LL / THEY WILL}} <B_ASIDE> SO",
        ]
    path = folder / reference
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
