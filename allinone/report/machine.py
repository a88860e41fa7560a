"""Whether a machine is fit for the work: what it has, in sentences.

Nothing here imports more of this package, nor torchaudio: where versions do not pair, that import fails.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import torch

# what the extras bring: package, what it is for
EXTRAS = {
    "beam": ("flashlight-text", "beam search"),
    "huggingface": ("transformers", "the comparison with transformers in bench step and bench pretrained"),
    "peers": ("torchao", "the comparison with torchao in recipes/amazon_queen"),
    "wandb": ("wandb", "logging to Weights & Biases"),
}
_PAIR = ("torch", "torchaudio")
_SPACE = 2e9  # bytes: the embedded corpus, decoded, and a run of its recipe


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        topic: what.
        fit: ``yes``; ``no`` if something will fail; ``partly`` if something is missing that not everyone needs.
        says: what was found and, unless it is fit, what to do.
    """

    topic: str
    fit: Literal["yes", "partly", "no"]
    says: str


def machine() -> str:
    """This machine in a few words: its GPUs, or else its processor and how many cores of it may be used."""
    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.machine()}, {cores()} cores"


def code() -> str:
    """The version of this package, with the commit if it runs from a checkout."""
    known, checkout = f"allinone {_version('allinone')}", Path(__file__).parents[2]
    if not (checkout / ".git").exists():  # installed, perhaps into an environment inside of another repository
        return known
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    try:
        return f"{known} at {subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()}"
    except (OSError, subprocess.CalledProcessError):
        return known


def lacks(extra: str) -> str | None:
    """What to say where the package of an extra is missing; None where it is installed."""
    package, use = EXTRAS[extra]
    if _version(package) is not None:
        return None
    return f"{package} is missing, which {use} needs: pip install 'allinone[{extra}]'."


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def examine(folders: list[Path], device: str) -> Iterator[Finding]:
    """Looks at versions, extras, disk, processors and GPU.

    Args:
        folders: where runs and decoded audio will be written; they need not exist yet.
        device: where training will compute.
    """
    yield _versions()
    yield from _extras()
    yield from (_disk(folder) for folder in folders)
    yield _processors()
    yield _gpu(device)


def _versions() -> Finding:
    found = {name: _version(name) for name in _PAIR}
    numbers = {(number or "none").partition("+")[0] for number in found.values()}
    series = {".".join(number.split(".")[:2]) for number in numbers}
    said = ", ".join(f"{name} {number or 'is missing'}" for name, number in found.items())
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    if series != {"2.11"}:
        install = "pip install 'torch==2.11.*' 'torchaudio==2.11.*'"
        return Finding("versions", "no", f"{python}, {said}; the pair that works is 2.11 with 2.11: {install}.")
    return Finding("versions", "yes", f"{python}, {said}: a pair that works.")


def _extras() -> Iterator[Finding]:
    for extra, (package, use) in EXTRAS.items():
        if missing := lacks(extra):
            yield Finding(f"extra {extra}", "partly", missing)
        else:
            yield Finding(f"extra {extra}", "yes", f"{package} {_version(package)} is there for {use}.")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _disk(folder: Path) -> Finding:
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    topic = f"disk for {folder}"
    if not os.access(existing, os.W_OK):
        return Finding(topic, "no", f"{existing} cannot be written to; work in a folder of your own.")
    if free < _SPACE:
        wanted = f"the embedded recipe alone wants {gigabytes(_SPACE)}"
        return Finding(topic, "no", f"{gigabytes(free)} are free; {wanted}. Make room, or work elsewhere.")
    return Finding(topic, "yes", f"{gigabytes(free)} are free.")


def _processors() -> Finding:
    count, threads = cores(), torch.get_num_threads()
    says = f"{count} cores, {threads} threads for the computation"
    if threads > count:
        return Finding(
            "processors", "partly", f"{says}; more threads than cores are slower: set OMP_NUM_THREADS={count}."
        )
    return Finding("processors", "yes", f"{says}.")


def _gpu(device: str) -> Finding:
    if not torch.cuda.is_available():
        wanted = torch.device(device).type == "cuda"
        says = "There is none that torch can use"
        return (
            Finding("GPU", "no", f"{says}, but device={device} was asked for; install a driver, or give device=cpu.")
            if wanted
            else Finding("GPU", "partly", f"{says}: small recipes train in minutes to hours, large ones not at all.")
        )
    names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    bf16 = "with" if torch.cuda.is_bf16_supported() else "without"
    return Finding("GPU", "yes", f"{names}; {bf16} bf16 (trainer.precision=bf16-mixed).")


def gigabytes(count: float) -> str:
    """A number of bytes, for people."""
    return f"{count / 1e9:.1f} GB"
