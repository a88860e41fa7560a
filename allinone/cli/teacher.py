"""The teacher from outside: another trained network, which teaches in place of each step's own largest member."""

import copy
from pathlib import Path

from allinone.data import SpeechDataModule
from allinone.export.artefact import read_artefact
from allinone.layers import SpecAugment, TimeMasks
from allinone.quantization import Lsq
from allinone.subnet import FULL_PRECISION, LayerConfig, SearchSpace, SubnetConfig
from allinone.tasks.network import outputs_in_words
from allinone.tasks.recalibration import recalibrate
from allinone.tasks.speech import SpeechTask
from allinone.training.start import load_task, take_over_member


def outside_teacher(name: str | None, task: SpeechTask, data: SpeechDataModule, hidden: float) -> SpeechTask | None:
    """The teacher that a training names.

    Args:
        name: a checkpoint, whose largest member teaches, or the directory of an exported member; None for no such one.
        task: the supernet that is taught.
        data: the corpus, prepared and checked.
        hidden: the weight of the teacher's hidden frames.

    Raises:
        ValueError: if it cannot teach this supernet.
        FileNotFoundError: if there is no such checkpoint.
    """
    if name is None:
        return None
    path = Path(name)
    augment = copy.copy(task.augment)  # the same masks, in a module of its own: it stands in evaluation mode
    teacher = _exported(path, augment) if path.is_dir() else load_task(path, augment=augment)[0]
    if (teacher.tokenizer, teacher.features.settings) != (task.tokenizer, task.features.settings):
        raise ValueError(
            "A teacher must have the labels and features of the network that it teaches; found others in "
            f"{name}. Start both from the same network (init), or choose another teacher."
        )
    theirs, ours = (outputs_in_words(each.ctc, each.attention is not None) for each in (teacher, task))
    if theirs != ours:
        raise ValueError(
            f"Teacher and network must have the same outputs; found {theirs} in {name} and {ours} in the "
            "network. Give ctc=... and attention=..., or another teacher."
        )
    if hidden and teacher.layout.dim != task.layout.dim:
        raise ValueError(
            "Teaching hidden frames (objective.hidden) requires encoders of one dimension; found "
            f"{teacher.layout.dim} in {name} and {task.layout.dim} in the network. Give objective.hidden=0, "
            "or another teacher."
        )
    if teacher.encoder.lacks_statistics(teacher.space.largest):
        recalibrate(teacher, data.calibration_loader(), [teacher.space.largest])
    return teacher


def _exported(folder: Path, augment: SpecAugment | TimeMasks | None) -> SpeechTask:
    """An exported member at full precision: its rounded weights are taken as they are."""
    artefact = read_artefact(folder)
    member = SubnetConfig.parse(artefact.manifest.member)
    if not member.is_uniform:
        raise ValueError(
            f"An exported teacher must have layers that are all equal; found {member.name} in {folder}. Name the "
            "checkpoint that it was exported from, or another member."
        )
    teacher = SpeechTask(
        layout=artefact.layout,
        space=_alone(member.layers, _alone(member.decoder) if member.decoder else None),
        tokenizer=artefact.tokenizer,
        quantizer=Lsq(),
        features=artefact.features,
        attention=artefact.attention,
        ctc=artefact.network.head is not None,
        augment=augment,
    )
    take_over_member(teacher, artefact.network, artefact.weights, None, str(folder))
    return teacher


def _alone(layers: tuple[LayerConfig, ...], decoder: SearchSpace | None = None) -> SearchSpace:
    """The space of one member at full precision."""
    heads = () if layers[0].heads is None else (layers[0].heads,)
    return SearchSpace((len(layers),), (layers[0].width,), (FULL_PRECISION,), decoder=decoder, heads=heads)
