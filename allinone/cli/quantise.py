"""`allinone quantise`: one member of a trained supernet with few bits, without any training."""

import json
import logging
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from allinone.cli.evaluations import data_settings
from allinone.cli.run_folder import CHECKPOINTS, FINISHED
from allinone.cli.trained_data import provide_statistics, ready_data
from allinone.data import SpeechDataModule
from allinone.export.folder import complete_folder
from allinone.quantization import Quantizer
from allinone.report.machine import code, machine
from allinone.subnet import FULL_PRECISION
from allinone.tasks.input_ranges import calibrate_inputs
from allinone.tasks.speech import SpeechTask
from allinone.training.checkpoints import MODEL, about_network, write_untrained
from allinone.training.post_training import (
    calibrate,
    heard_inputs,
    quantised_member,
    refuse_differing_layers,
    refuse_dynamic_scales,
)
from allinone.training.start import load_task

logger = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Writes the run folder and says what is in it."""
    _check(config)
    source, about = load_task(Path(config.checkpoint))
    source.eval()
    member = source.space.parse(config.subnet)
    refuse_differing_layers(member)
    quantizer: Quantizer = instantiate(config.quantizer)
    if config.calibration:
        refuse_dynamic_scales(quantizer)

    def data() -> SpeechDataModule:
        return ready_data(data_settings(config.data, about, "Calibrating"), source)

    provide_statistics(source, [member.with_bits(FULL_PRECISION)], about, data, device="cpu")
    task = quantised_member(source, member, config.bits, quantizer)
    if any(elastic.inputs.unknown for _, elastic in task.parts()):
        calibrate_inputs(task, data().calibration_loader())
    if config.calibration:
        calibrate(task, heard_inputs(source, member, data().calibration_loader(config.calibration)))
    name = member.with_bits(config.bits).name
    origin = {**about["origin"], "quantised_from": str(config.checkpoint), "calibration": config.calibration}
    with complete_folder(Path(str(config.output)), replaceable=lambda _: False) as folder:
        (folder / CHECKPOINTS).mkdir()
        write_untrained({**about_network(task), "origin": origin}, task.state_dict(), folder / CHECKPOINTS / MODEL)
        OmegaConf.save(_settings(config, task, name, origin), folder / "config.yaml")
        _write_results(folder, origin)
    cost = task.cost(task.space.parse(name))
    logger.info(
        "%s is in %s: %.2f MB stored, %.1f times smaller by the papers' rule than the largest encoder at full "
        "precision; nothing was trained.",
        name,
        config.output,
        cost.bytes_stored / 1e6,
        task.full_bytes / cost.bytes,
    )


def _check(config: DictConfig) -> None:
    count = config.calibration
    if type(count) is not int or count < 0:
        raise ValueError(
            f"calibration requires a number of utterances, 0 or more; found {count!r}. Give 64, or 0 to round without "
            "data."
        )
    if count and config.bits == FULL_PRECISION:
        raise ValueError(
            f"Calibration requires few bits; found bits={config.bits}, which has no scales. Give bits=4, or "
            "calibration=0."
        )


def _settings(config: DictConfig, task: SpeechTask, name: str, origin: Mapping[str, Any]) -> dict[str, Any]:
    """What `allinone compare` reads of a run of one member, and what this one was made with."""
    return {
        "checkpoint": str(config.checkpoint),
        "bits": config.bits,
        "calibration": config.calibration,
        "quantizer": OmegaConf.to_container(config.quantizer, resolve=True),
        "space": _as_settings(task.space),
        "sampler": {"_target_": "allinone.subnet.FixedSampler", "_partial_": True, "subnet": name},
        "ctc": task.ctc,
        "data": origin.get("data"),
        "trained": False,
    }


def _as_settings(value: Any) -> Any:
    """A frozen value as the settings that make it."""
    if isinstance(value, tuple):
        return [_as_settings(item) for item in value]
    if not is_dataclass(value):
        return value
    settings = {field.name: _as_settings(getattr(value, field.name)) for field in fields(value) if field.init}
    return {"_target_": f"{type(value).__module__}.{type(value).__qualname__}", **settings}


def _write_results(folder: Path, origin: Mapping[str, Any]) -> None:
    """What a finished run has: no update, and no time."""
    cost = {"seconds": 0.0, "single_runs": 0.0, "single_run_seconds": 0.0, "machine": machine()}
    (folder / "cost.json").write_text(json.dumps(cost, indent=1), encoding="utf-8")
    results = {"steps": 0, "scores": {}, "data_hash": origin.get("data_hash"), "code": code()}
    (folder / FINISHED).write_text(json.dumps(results, indent=1), encoding="utf-8")
