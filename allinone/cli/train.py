"""`allinone train`: one run, from its configuration to its last checkpoint and results."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from allinone.cli.allocator import keep_freed_memory
from allinone.cli.labels import labels_of_start
from allinone.cli.members import members_to_list
from allinone.cli.processes import is_first
from allinone.cli.run_folder import CHECKPOINTS, FINISHED
from allinone.cli.teacher import outside_teacher
from allinone.data import SAMPLE_RATE, Batch, SpeechDataModule
from allinone.export.artefact import read_artefact
from allinone.layers import FeatureSettings
from allinone.models import DecoderLayout, Layout
from allinone.report.machine import code, machine
from allinone.subnet import Sampler, SearchSpace
from allinone.tasks.groups import refuse_uneven_groups
from allinone.tasks.input_ranges import calibrate_inputs
from allinone.tasks.network import require_output
from allinone.tasks.patterns import refuse_uneven_patterns
from allinone.tasks.recalibration import recalibrate
from allinone.tasks.speech import SpeechTask
from allinone.text import Tokenizer
from allinone.training import FitSettings, Objective, OnePassModule, fit
from allinone.training.checkpoints import (
    BEST,
    MODEL,
    add_statistics,
    newest_readable,
    step_checkpoints,
    write_model,
)
from allinone.training.first_losses import losses_of
from allinone.training.importance import check_ranking
from allinone.training.pretrained import is_pretrained, refuse_other_features, take_over_pretrained
from allinone.training.pruning import Prune
from allinone.training.resume import refuse_changes
from allinone.training.start import load_task, take_over_checkpoint, take_over_member

logger = logging.getLogger(__name__)

CONFIG = "config.yaml"


def run(config: DictConfig) -> None:
    """Trains, or continues a training."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    started_as = code()  # a checkout may be another one when the training ends
    config = _settings(config, folder)
    start = newest_readable(folder / CHECKPOINTS) if config.resume and (folder / CHECKPOINTS).is_dir() else None
    if config.resume and start is None:
        logger.info("There is no unfinished run to resume: a new one starts.")
    logger.info("This run writes to %s.", folder)
    if not torch.cuda.is_available():
        keep_freed_memory()
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    if config.needs_init and config.init is None:
        raise ValueError(
            "This experiment requires the weights that its training starts from; found none named. Add init=DIR (or "
            "needs_init=false, to start from random ones)."
        )
    settings: FitSettings = instantiate(config.trainer)
    check_ranking(config.importance)
    if config.first_losses < 0:
        raise ValueError(f"first_losses requires 0 or more utterances; found {config.first_losses}. Give 0 for none.")
    layout: Layout = instantiate(config.network)
    space: SearchSpace = instantiate(config.space)
    sampler: Sampler = instantiate(config.sampler)(space=space)
    objective: Objective = instantiate(config.objective)
    attention: DecoderLayout | None = instantiate(config.attention)
    require_output(layout, config.ctc, attention)
    objective.refuse_misfit(config.ctc)
    prune = _prune(config, space)
    if prune is not None:
        prune.refuse_misfit(instantiate(config.optimizer), settings.max_steps)
    instantiate(config.straight_through)  # which checks itself, before any data is read
    refuse_uneven_groups(layout, space, attention, instantiate(config.quantizer))
    refuse_uneven_patterns(layout, space, attention)
    with torch.device("meta"):
        layout.build(space.largest)  # a layout without code is refused before any data is read
    data: SpeechDataModule = instantiate(config.data, seed=config.seed)
    data.prepare()
    task = _task(config, layout, space, data, first_scales=start is None and config.init is None)
    report = data.check(task.tokenizer, task.frames, ctc=task.ctc, most_labels=task.most_labels)
    if is_first():
        (folder / "data.json").write_text(json.dumps(report.to_dict(), indent=1))
    if start is not None:
        _continue(data, *start)
    else:
        _initialise(task, config.init, data.calibration_loader() if config.importance == "activations" else None)
        calibrate_inputs(task, data.calibration_loader())
        if is_first() and config.first_losses:
            _first_losses(folder, task, data, objective, config.first_losses)
    module = OnePassModule(
        task=task,
        sampler=sampler,
        objective=objective,
        optimizer=instantiate(config.optimizer),
        schedule=instantiate(config.schedule),
        max_steps=settings.max_steps,
        gradient_clip=settings.gradient_clip,
        accumulate=settings.accumulate,
        seed=config.seed,
        prune=prune,
        teacher=outside_teacher(config.teacher, task, data, objective.hidden),
        origin={
            "data_hash": data.fingerprint,
            "data": _plain(config.data),
            "experiment": HydraConfig.get().runtime.choices.get("experiment"),
        },
    )
    resume_from = start[0] if start else None
    trainer = fit(module, data, settings, folder, resume_from, data.start.consumed, _logger(config, folder))
    if trainer.received_sigterm or trainer.global_step < settings.max_steps:
        if trainer.is_global_zero:
            steps = trainer.global_step, settings.max_steps
            logger.warning("Stopped at step %d of %d; continue with resume=%s", *steps, folder)
        raise SystemExit(143)
    if trainer.is_global_zero:
        _finish(folder, module, data, trainer, started_as)


def _prune(config: DictConfig, space: SearchSpace) -> Prune | None:
    """When and by what survival levels are taken; None if they never are, or all members are dense."""
    sparse = space.pattern is not None or (space.decoder is not None and space.decoder.pattern is not None)
    schedule = instantiate(config.levels)
    return Prune(instantiate(config.criterion), schedule) if sparse and schedule is not None else None


def _settings(config: DictConfig, folder: Path) -> DictConfig:
    """The run's configuration: kept in its folder at the first start, compared or taken up again when it continues."""
    kept = folder / CONFIG
    if not (config.resume and kept.exists()):
        if is_first():
            folder.mkdir(parents=True, exist_ok=True)
            OmegaConf.save(config, kept, resolve=True)
        return config
    before = OmegaConf.load(kept)
    assert isinstance(before, DictConfig)
    overrides = [entry for entry in HydraConfig.get().overrides.task if not entry.startswith("resume=")]
    if not overrides and isinstance(config.resume, str):
        before.resume = config.resume
        return before
    refuse_changes(_plain(before), _plain(config))
    return config


def _plain(config: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _task(
    config: DictConfig, layout: Layout, space: SearchSpace, data: SpeechDataModule, first_scales: bool
) -> SpeechTask:
    """The supernet; one that starts from trained weights keeps their labels."""
    features: FeatureSettings = instantiate(config.features)
    refuse_other_features(layout, features)
    _refuse_other_rate(features)
    return SpeechTask(
        layout=layout,
        space=space,
        tokenizer=_tokenizer(config, data),
        quantizer=instantiate(config.quantizer),
        features=features,
        attention=instantiate(config.attention),
        ctc=config.ctc,
        augment=instantiate(config.augment),
        adaptive_dropout=instantiate(config.adaptive_dropout),
        layer_drop=config.layer_drop,
        straight_through=instantiate(config.straight_through),
        activations=instantiate(config.activations),
        first_scales=first_scales,
    )


def _refuse_other_rate(features: FeatureSettings) -> None:
    """Raises ValueError unless features are of waveforms as the data bring them."""
    if features.sample_rate != SAMPLE_RATE:
        raise ValueError(
            f"Training requires features of waveforms at {SAMPLE_RATE} Hz, to which recordings of other rates are "
            f"resampled; found {features.sample_rate} Hz. Leave features.sample_rate as it was."
        )


def _tokenizer(config: DictConfig, data: SpeechDataModule) -> Tokenizer:
    if config.init is not None:
        labels = labels_of_start(config)
        if labels is not None:
            return labels
    tokenizer = instantiate(config.tokenizer)
    return tokenizer if isinstance(tokenizer, Tokenizer) else tokenizer(data.texts("train"))


def _initialise(task: SpeechTask, source: str | None, batches: Iterable[Batch] | None) -> None:
    """Starts from nothing, from a pretrained encoder, from an exported member or from a checkpoint.

    The order of units and heads is decided by ``batches``, or else by weights.
    """
    if source is None:
        return
    if is_pretrained(Path(source)):
        take_over_pretrained(task, Path(source), batches)
    elif Path(source).is_dir():
        artefact = read_artefact(Path(source))
        take_over_member(task, artefact.network, artefact.weights, artefact.space, source, batches)
    else:
        take_over_checkpoint(task, Path(source), batches)


def _first_losses(folder: Path, task: SpeechTask, data: SpeechDataModule, objective: Objective, count: int) -> None:
    """Says how far each member is from its end, on so many utterances of dev."""
    members = members_to_list(task.space, sample=0, seed=0)
    recalibrate(task, data.calibration_loader(), members)
    losses = losses_of(task, data.loader("dev", world_size=1, rank=0, utterances=count), members, objective)
    task.encoder.statistics = {}
    (folder / "first_losses.json").write_text(json.dumps(losses, indent=1))
    for name, loss in losses.items():
        logger.info("Loss before training, %d utterances of dev: %s %.2f", count, name, loss)


def _logger(config: DictConfig, folder: Path) -> Logger | None:
    """The logger that was asked for besides the run folder's own."""
    if config.logger is None:
        return None
    try:
        return instantiate(config.logger, save_dir=str(folder))
    except InstantiationException as error:
        if not isinstance(error.__cause__, ImportError):
            raise
        name = str(HydraConfig.get().runtime.choices.get("logger"))
        raise ValueError(
            f"logger={name} requires a package that is not installed, found: {error.__cause__}. "
            f"Install it (pip install {name}), or leave logger out."
        ) from error


def _continue(data: SpeechDataModule, path: Path, checkpoint: dict[str, Any]) -> None:
    about = checkpoint["allinone"]
    if about["origin"]["data_hash"] != data.fingerprint:
        raise ValueError(
            "Resuming requires the training data that the run began with "
            f"(hash {about['origin']['data_hash']:.12}); found data of hash {data.fingerprint:.12}. "
            "Bring the data back, or start a new run with resume=false."
        )
    data.resume(about["position"])
    logger.info("Continuing from %s, after %d batches.", path, data.start.consumed)


def _calibrate(path: Path, data: SpeechDataModule, device: torch.device) -> None:
    """Adds statistics to the model, measured with its rounded weights: no one who takes a listed member needs data."""
    task, _ = load_task(path)
    recalibrate(task, data.calibration_loader(), members_to_list(task.space, sample=0, seed=0), device=device)
    add_statistics(path, task.encoder.statistics)


def _finish(
    folder: Path, module: OnePassModule, data: SpeechDataModule, trainer: lightning.Trainer, started_as: str
) -> None:
    """Writes what the run came to; the results come last, because a run with results is finished."""
    checkpoints = folder / CHECKPOINTS
    best = checkpoints / BEST
    write_model(best if best.exists() else step_checkpoints(checkpoints)[0], checkpoints / MODEL)
    if module.task.encoder.needs_statistics:
        _calibrate(checkpoints / MODEL, data, trainer.strategy.root_device)
    cost = {**module.ledger.summary(), "machine": machine()}
    (folder / "cost.json").write_text(json.dumps(cost, indent=1))
    scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("dev/")}
    results = {
        "steps": trainer.global_step,
        "scores": scores,
        "data_hash": module.origin["data_hash"],
        "code": started_as,
    }
    (folder / FINISHED).write_text(json.dumps(results, indent=1))
    if cost["single_runs"]:
        logger.info("This run cost %.2f single runs (%.0f s of training).", cost["single_runs"], cost["seconds"])
    logger.info("The trained network is %s.", checkpoints / MODEL)
