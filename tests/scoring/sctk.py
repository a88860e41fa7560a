"""NIST's own scorer where it is installed (Debian package sctk), its output in our words, and texts to try it on."""

import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ORACLE = Path(__file__).parent / "oracle"
SETS = sorted(path.name for path in ORACLE.iterdir() if path.is_dir())
NAMES = ("first", "second", "third")  # the systems of a set

needs_sctk = pytest.mark.skipif(
    not (shutil.which("sctk") or shutil.which("sclite")), reason="NIST's scorer is not installed (Debian package sctk)"
)


@dataclass(frozen=True)
class Found:
    """One line MTCH_PR_RESULTS of sc_stats."""

    first: str
    second: str
    segments: int
    mean: float
    std: float
    z: float
    differ: bool


def sclite(folder: Path, name: str) -> str:
    """The alignments of the hypotheses in NAME.trn with ref.trn, both in a folder."""
    return _run(
        folder, "sclite", "-r", "ref.trn", "trn", "-h", f"{name}.trn", "trn", name, "-i", "rm", "-o", "sgml", "stdout"
    )


def sc_stats(alignments: Sequence[str], folder: Path) -> str:
    """What the matched-pairs test says of the alignments of several systems."""
    return _run(folder, "sc_stats", "-p", "-t", "mapsswe", "-v", "-n", "-", text="".join(alignments))


def _run(folder: Path, program: str, *arguments: str, text: str | None = None) -> str:
    command = [program, *arguments] if shutil.which(program) else ["sctk", program, *arguments]
    done = subprocess.run(
        command, input=text, capture_output=True, encoding="utf-8", errors="replace", check=True, cwd=folder
    )
    return done.stdout


def letters(alignments: str) -> dict[str, str]:
    """For each id, in lower case, one letter for each column: C, S, D or I."""
    paths = re.findall(r'<PATH id="\((.*?)\)".*>\n(.*)\n</PATH>', alignments)
    return {name: "".join(column[0] for column in columns.split(":") if column) for name, columns in paths}


def matched_pairs(output: str) -> list[Found]:
    """The lines MTCH_PR_RESULTS of sc_stats."""
    number = r"(-?(?:[\d.]+|nan))"
    line = re.compile(
        rf"MTCH_PR_RESULTS \(systems: (\S+) (\S+)\) \(# segs: (\d+)\) .*"
        rf"\(mean: +{number}\) \(std dev: +{number}\) \(Z Stat: +{number}\) \(Stat Diff: (No|Yes)\)"
    )
    return [
        Found(first, second, int(segments), float(mean), float(std), float(z), differ == "Yes")
        for first, second, segments, mean, std, z, differ in line.findall(output)
    ]


def random_texts(chance: random.Random, utterances: int) -> tuple[list[str], dict[str, list[str]]]:
    """References and what the three systems heard: few or many words, of few or many kinds, well heard or badly."""
    kinds = [f"w{number}" for number in range(chance.choice((1, 2, 3, 8, 40)))]
    longest = chance.choice((1, 4, 12, 40))
    said = [chance.choices(kinds, k=chance.randint(0, longest)) for _ in range(utterances)]
    said[0] = said[0] or kinds[:1]
    share = chance.choice((0.02, 0.1, 0.4, 1.0))
    heard = {name: [_heard(chance, words, kinds, share) for words in said] for name in NAMES}
    for number in range(utterances):
        if chance.random() < 0.3:
            heard["second"][number] = heard["first"][number]
    texts = {name: [" ".join(words) for words in lines] for name, lines in heard.items()}
    return [" ".join(words) for words in said], texts


def _heard(chance: random.Random, words: list[str], kinds: list[str], share: float) -> list[str]:
    if chance.random() < 0.05:
        return chance.choices(kinds, k=chance.randint(0, 12))
    heard = []
    for word in words:
        error = chance.choice("SDI") if chance.random() < share else "C"
        heard += {"C": [word], "S": [chance.choice([*kinds, "x"])], "D": [], "I": [word, chance.choice(kinds)]}[error]
    return heard


def write_texts(folder: Path, references: Sequence[str], hypotheses: dict[str, list[str]]) -> None:
    """A set of .trn files as the tool takes them."""
    for name, lines in {"ref": references, **hypotheses}.items():
        text = "".join(f"{line} (s-{number:04d})\n" for number, line in enumerate(lines))
        (folder / f"{name}.trn").write_text(text, encoding="utf-8")
