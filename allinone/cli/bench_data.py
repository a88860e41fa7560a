"""`allinone bench data`: how long a training waits for its data."""

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from allinone.cli.devices import device
from allinone.cli.labels import known_labels
from allinone.cli.tables import Column, check_format, show_json, show_table
from allinone.data import SpeechDataModule
from allinone.report.data_bench import loading_cost
from allinone.report.training_step import TrainingStep
from allinone.text import Tokenizer

COLUMNS = (
    Column("steps", "steps"),
    Column("waiting %", "share", "{:.2f}", 0.01),
    Column("waiting\nms a step", "waiting", "{:.1f}", 0.001),
    Column("working\nms a step", "stepping", "{:.1f}", 0.001),
    Column("audio\ns a step", "audio", "{:.0f}"),
)


def run(config: DictConfig) -> None:
    """Prints one row."""
    check_format(config.format)
    data: SpeechDataModule = instantiate(config.data, seed=config.seed)
    data.prepare()
    training = training_step(config, known_labels(config) or instantiate(config.tokenizer)(data.texts("train")))
    task = training.task()
    data.check(task.tokenizer, task.frames, ctc=task.ctc, most_labels=task.most_labels)
    cost = loading_cost(data.train_dataloader(), training.build(task), config.steps, config.skip)
    row = {
        "steps": cost.steps,
        "share": cost.share,
        "waiting": cost.waiting / cost.steps,
        "stepping": cost.stepping / cost.steps,
        "audio": cost.audio / cost.steps,
    }
    if config.format == "json":
        show_json(row)
    else:
        workers = f"{data.num_workers} worker processes" if data.num_workers else "no worker process"
        show_table(COLUMNS, [row], f"{data.corpus.name}, {workers}, {torch.get_num_threads()} threads for the step")


def training_step(config: DictConfig, tokenizer: Tokenizer) -> TrainingStep:
    """The step of the configured run, on the device that the verb was told."""
    return TrainingStep(
        layout=instantiate(config.network),
        attention=instantiate(config.attention),
        ctc=config.ctc,
        tokenizer=tokenizer,
        quantizer=instantiate(config.quantizer),
        activations=instantiate(config.activations),
        features=instantiate(config.features),
        augment=instantiate(config.augment),
        adaptive_dropout=instantiate(config.adaptive_dropout),
        layer_drop=config.layer_drop,
        sampler=instantiate(config.sampler)(space=instantiate(config.space)),
        objective=instantiate(config.objective),
        optimizer=instantiate(config.optimizer),
        precision=config.trainer.precision,
        recompute=config.trainer.activation_checkpointing,
        device=device(config.device),
    )
