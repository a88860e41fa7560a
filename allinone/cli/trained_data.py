"""The corpus that a checkpoint was trained on, for members that have to be recalibrated."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf

from allinone.data import SpeechDataModule
from allinone.subnet import SubnetConfig
from allinone.tasks.recalibration import recalibrate
from allinone.tasks.speech import SpeechTask

logger = logging.getLogger(__name__)


def ready_data(settings: Mapping[str, Any], task: SpeechTask) -> SpeechDataModule:
    """The data of these settings, prepared and checked."""
    config = OmegaConf.create({"data": dict(settings)})  # so that messages name settings in full
    data: SpeechDataModule = instantiate(config.data)
    data.prepare()
    data.check(task.tokenizer, task.frames, ctc=task.ctc, most_labels=task.most_labels)
    return data


def trained_data(task: SpeechTask, about: Mapping[str, Any]) -> SpeechDataModule:
    """The data that a checkpoint names as its own, prepared and checked.

    Raises:
        ValueError: if it names none.
    """
    settings = about["origin"].get("data")
    if settings is None:
        raise ValueError(
            "Recalibrating a member requires the corpus that its network was trained on; found none named in the "
            "checkpoint. Use the model.ckpt of a run of `allinone train`."
        )
    return ready_data(settings, task)


def provide_statistics(
    task: SpeechTask,
    members: Sequence[SubnetConfig],
    about: Mapping[str, Any],
    data: Callable[[], SpeechDataModule],
    device: str,
) -> None:
    """Recalibrates those of the members that need it, in networks with batch norm; the data are read only then.

    Args:
        task: the supernet.
        members: who is about to be evaluated.
        about: what the checkpoint tells about it.
        data: gives the corpus that the checkpoint names.
        device: where to compute.
    """
    lacking = [member for member in members if task.encoder.lacks_statistics(member)]
    if not lacking:
        return
    corpus = data()
    if about["origin"].get("data_hash") not in (None, corpus.fingerprint):
        logger.warning(
            "The training data have changed since the training: statistics are measured on what they are now."
        )
    logger.info("Recalibrating %d members, of which the checkpoint has no statistics.", len(lacking))
    recalibrate(task, corpus.calibration_loader(), lacking, device=device)
