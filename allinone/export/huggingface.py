"""Writes a member as a Hugging Face directory, which `transformers` opens, and compares it with the supernet."""

import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save
from torch import Tensor

from allinone.export import huggingface_ctc, huggingface_whisper
from allinone.export.extract import evaluation_copy
from allinone.export.folder import complete_folder
from allinone.export.huggingface_card import huggingface_card
from allinone.export.huggingface_parts import CARD, WEIGHTS
from allinone.export.verify import verify_close
from allinone.export.writer import check_results, nothing, versions
from allinone.layers.linear import INPUT_SCALE
from allinone.models.huggingface import CONFIG
from allinone.quantization import Quantised, as_float
from allinone.subnet import SubnetConfig
from allinone.text.json_file import read_json

if TYPE_CHECKING:
    from allinone.tasks.speech import SpeechTask

logger = logging.getLogger(__name__)

_FILES = {*huggingface_ctc.FILES, *huggingface_whisper.FILES, CARD}
_MARK = "allinone"  # a key in the config of what was written here
_TOLERANCE = 1e-4  # zeros among the others change the order in which products are added up


def write_huggingface(
    task: "SpeechTask",
    subnet: SubnetConfig,
    folder: Path,
    *,
    results: Mapping[str, Mapping[str, float]] | None = None,
    data_hash: str | None = None,
    about_data: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a member in float32, reads it back, and compares the outputs.

    Of Whisper encoder and attention decoder are written, of other encoders encoder and CTC output; another output that
    the member may have is left out. Layers of unequal widths, or without all heads, are filled up with zeros.

    Args:
        task: the supernet; it may be on any device, and stays as it is.
        subnet: the member.
        folder: where to; it must be missing or empty, or hold an earlier export of this kind and nothing else.
        results: measured error rates in percent by split.
        data_hash: hash of the training data.
        about_data: a sentence or two for the card: what the training data is, and its licence.
        overwrite: whether an earlier export in ``folder`` may be replaced.

    Returns:
        The folder.

    Raises:
        ValueError: if there is no such member, `transformers` has no such network, labels or features, the output that
            it has is missing, the member rounds inputs, the folder holds something else, or results or weights are not
            finite; the folder is then as it was before.
        RuntimeError: if what was written is not the supernet's member; the folder is then as it was before.
    """
    folder = Path(folder)
    check_results(results or {})
    kind = huggingface_whisper if huggingface_whisper.is_whisper(task.layout) else huggingface_ctc
    kind.require(task)  # refused before anything is written
    with complete_folder(folder, replaceable=_is_exported if overwrite else nothing) as partial:
        task = evaluation_copy(task, subnet)
        stored = task.weights(subnet)
        _refuse_rounded_inputs(task, subnet, stored)
        directory = kind.directory(task, subnet, {name: _finite(name, as_float(stored[name])) for name in stored})
        (partial / WEIGHTS).write_bytes(save(dict(directory.tensors), metadata={"format": "pt"}))
        for name, content in directory.contents.items():
            marked = {**content, _MARK: {"member": subnet.name}} if name == CONFIG else content
            (partial / name).write_text(f"{json.dumps(marked, indent=1, ensure_ascii=False)}\n", encoding="utf-8")
        card = huggingface_card(
            directory,
            subnet,
            size=(partial / WEIGHTS).stat().st_size,
            rounded=any(isinstance(weight, Quantised) for weight in stored.values()),
            results=results,
            data=(about_data, data_hash),
            version=versions().get("allinone", "of unknown version"),
        )
        (partial / CARD).write_text(card, encoding="utf-8")
        verify_close(kind.read_back(partial, task), task, subnet, _TOLERANCE)
    if directory.left_out:
        left_out, kept = directory.left_out, directory.kept
        logger.warning("The %s of %s is left out: such a directory has the %s alone.", left_out, subnet.name, kept)
    return folder


def _refuse_rounded_inputs(task: "SpeechTask", subnet: SubnetConfig, stored: Collection[str]) -> None:
    if any(name.endswith(INPUT_SCALE) for name in stored):
        raise ValueError(
            "A Hugging Face directory requires a member whose linear maps take inputs as they are; found "
            f"{subnet.name}, which was trained to round them to 8 bits ({type(task.activations).__name__}). Export it "
            "with format=allinone, or a member of 32 bits."
        )


def _finite(name: str, weight: Tensor) -> Tensor:
    if not weight.isfinite().all():
        raise ValueError(
            f"The weights of a member must be finite; found NaN or infinity in {name}. "
            "This training has diverged: export from an earlier checkpoint."
        )
    return weight


def _is_exported(folder: Path) -> bool:
    """Whether everything in a folder was written here, so that it can be replaced."""
    try:
        ours = _MARK in read_json(folder / CONFIG)
    except ValueError:
        return False
    return ours and {path.name for path in folder.iterdir()} <= _FILES
