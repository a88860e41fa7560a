"""Writes a member as a folder of its own, and does not finish before it has read it back as the same member."""

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save

from allinone.export.artefact import read_artefact, tokens_text
from allinone.export.card import model_card
from allinone.export.extract import evaluation_copy
from allinone.export.folder import complete_folder
from allinone.export.manifest import Manifest, file_entry, is_exported_member
from allinone.export.nested import describe_precisions, nested_names, precisions
from allinone.export.tensors import encode, payload
from allinone.export.verify import verify_outputs, verify_size
from allinone.subnet import SubnetConfig
from allinone.tasks import describe

if TYPE_CHECKING:  # a recogniser runs without the supernet's code
    from allinone.tasks.speech import SpeechTask

WEIGHTS, TOKENS, CARD = "model.safetensors", "tokens.txt", "README.md"


def write_artefact(
    task: "SpeechTask",
    subnet: SubnetConfig,
    folder: Path,
    *,
    results: Mapping[str, Mapping[str, float]] | None = None,
    data_hash: str | None = None,
    about_data: str | None = None,
    overwrite: bool = False,
    nested: bool = False,
) -> Path:
    """Writes a member as a folder of its own, reads it back, and compares it with the supernet.

    Args:
        task: the supernet; it may be on any device, and stays as it is.
        subnet: the member.
        folder: where to; it must be missing or empty, or hold an earlier export and nothing else.
        results: measured error rates in percent by split, such as ``{"test": {"wer": 23.1, "cer": 9.4}}``.
        data_hash: hash of the training data.
        about_data: a sentence or two for the model card: what the training data is, and its licence.
        overwrite: whether an earlier export in ``folder`` may be replaced.
        nested: whether members that differ from this one, of 8 bits, in bits alone can be read from the same file.

    Returns:
        The folder.

    Raises:
        ValueError: if there is no such member, or there are none to be nested in it, the folder holds something else,
            or results, weights or outputs are not finite; the folder is then as it was before.
        RuntimeError: if what was written is not the supernet's member; the folder is then as it was before.
    """
    folder = Path(folder)
    check_results(results or {})
    with complete_folder(folder, replaceable=is_exported_member if overwrite else nothing) as partial:
        task = evaluation_copy(task, subnet)
        members = precisions(task, subnet) if nested else {}
        weights = task.weights(subnet)
        names = nested_names(weights, task.weights(members[min(members)])) if members else ()
        tensors, table = encode(weights, task.kept(subnet), names)
        (partial / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))  # save_file would hide it from others
        (partial / TOKENS).write_bytes(tokens_text(task.tokenizer.tokens).encode())
        cost = task.cost(subnet)
        verify_size(payload(tensors), cost.bytes_stored, partial / WEIGHTS)
        manifest = Manifest(
            member=subnet.name,
            parameters=round(cost.parameters),
            bytes=round(cost.bytes),
            bytes_stored=cost.bytes_stored,
            macs=round(cost.macs),
            ratio=task.full_bytes / cost.bytes,
            network={
                "layout": describe(task.layout),
                "attention": describe(task.attention),
                "ctc": task.ctc,
                "activations": describe(task.activations),
                "features": describe(task.features.settings),
                "tokenizer": describe(task.tokenizer),
                "space": describe(task.space),
            },
            tensors=table,
            weights=WEIGHTS,
            tokens=TOKENS,
            training_data={"hash": data_hash, "about": about_data},
            results=None if results is None else {split: dict(rates) for split, rates in results.items()},
            versions=versions(),
            files={},
            nested=describe_precisions(task, members, partial / WEIGHTS, table) or None,
        )
        (partial / CARD).write_text(model_card(manifest, task.tokenizer.vocab_size), encoding="utf-8")
        manifest = replace(manifest, files={name: file_entry(partial / name) for name in (WEIGHTS, TOKENS, CARD)})
        manifest.write(partial)
        verify_outputs(read_artefact(partial).network, task, subnet)
        for bits, member in members.items():
            verify_outputs(read_artefact(partial, bits).network, task, member)
    return folder


def check_results(results: Mapping[str, Mapping[str, float]]) -> None:
    """Raises ValueError if results are no finite error rates by split."""
    for split, rates in results.items():
        if not isinstance(rates, Mapping) or not all(isfinite(rate) for rate in rates.values()):
            raise ValueError(
                "Results must be finite error rates by split, such as {'test': {'wer': 23.1, 'cer': 9.4}}; found "
                f"{rates!r} for {split!r}. Hand over what was measured, or None."
            )


def nothing(folder: Path) -> bool:
    """What may be replaced where nothing may."""
    return False


def versions() -> dict[str, str]:
    """Of allinone, where it is installed, and of the packages that write weights."""
    others = {"torch": torch.__version__, "safetensors": version("safetensors")}
    try:
        return {"allinone": version("allinone")} | others
    except PackageNotFoundError:  # run from a checkout that is not installed
        return others
