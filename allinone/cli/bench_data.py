"""`allinone bench data`: how long a training waits for its data."""

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from allinone.cli.bench_step import device
from allinone.cli.tables import Column, check_format, show_json, show_table
from allinone.data import Batch, SpeechDataModule
from allinone.report import loading_cost
from allinone.subnet import Sampler
from allinone.tasks.ctc import CtcTask
from allinone.text import Tokenizer
from allinone.training import AdamW, Objective
from allinone.training.one_pass import Draw, assign, one_pass

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
    tokenizer = instantiate(config.tokenizer)
    task = CtcTask(
        layout=instantiate(config.network),
        space=instantiate(config.space),
        tokenizer=tokenizer if isinstance(tokenizer, Tokenizer) else tokenizer(data.texts("train")),
        quantizer=instantiate(config.quantizer),
        features=instantiate(config.features),
        augment=instantiate(config.augment),
    )
    data.check(task.tokenizer, task.frames)
    sampler: Sampler = instantiate(config.sampler)(space=task.space)
    step = _Step(task, sampler, instantiate(config.objective), instantiate(config.optimizer), device(config.device))
    cost = loading_cost(data.train_dataloader(), step, config.steps, config.skip)
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


class _Step:
    """A whole step, the optimiser's included."""

    def __init__(self, task: CtcTask, sampler: Sampler, objective: Objective, optimizer: AdamW, device: str) -> None:
        self.task, self.sampler, self.objective, self.device = task.to(device).train(), sampler, objective, device
        self.optimizer = optimizer.build(task)

    def __call__(self, batch: Batch, number: int) -> None:
        members = self.sampler.members(number, 0)
        assignment = assign(batch.to(self.device), members, self.sampler.in_batch, number)
        one_pass(
            self.task,
            assignment,
            self.objective,
            scale=1 / len(batch),
            backward=torch.Tensor.backward,
            draw=Draw(0, number, 0),
        )
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
