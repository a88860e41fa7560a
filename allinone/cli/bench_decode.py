"""`allinone bench decode`: how many seconds of audio a second a member decodes on this machine."""

import sys
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from allinone.cli.evaluations import Ready
from allinone.cli.tables import Column, check_format, show_json, show_table
from allinone.data.rows import check_split
from allinone.decoding import Greedy
from allinone.report.decode_bench import DecodeBench

COLUMNS = (
    Column("part", "part"),
    Column("process\nseconds", "process_seconds", "{:.2f}"),
    Column("process\nx real time", "process_speed", "{:.1f}"),
    Column("process\nwith encoder", "process_whole", "{:.1f}"),
    Column("wall\nseconds", "wall_seconds", "{:.2f}"),
    Column("wall\nx real time", "wall_speed", "{:.1f}"),
    Column("wall\nwith encoder", "wall_whole", "{:.1f}"),
)


def run(config: DictConfig) -> None:
    """Prints one row for the encoder and one for each decoder."""
    check_format(config.format)
    check_split(config.split)
    if config.utterances is not None and config.utterances < 1:
        raise ValueError(
            f"A measurement requires at least 1 utterance; found utterances={config.utterances}. Ask for more."
        )
    ready = Ready.load(Path(config.checkpoint), config, lambda task: [task.space.parse(config.subnet)])
    (member,) = ready.members
    chosen = str(HydraConfig.get().runtime.choices["decoder"])
    batches = ready.batches(config.split, config.utterances)
    bench = DecodeBench(
        task=ready.task,
        member=member,
        batches=batches,
        decoders={"greedy": Greedy().build(ready.task.tokenizer), chosen: ready.decode},
        device=ready.device,
    )
    with Console(file=sys.stderr).status("measuring") as status:
        rows = [cost.to_dict() for cost in bench.measure(config.rounds, status.update)]
    if config.format == "json":
        show_json(rows)
        return
    utterances = sum(len(batch) for batch in batches)
    where = torch.cuda.get_device_name() if ready.device.startswith("cuda") else f"{torch.get_num_threads()} threads"
    heard = f"{utterances} utterances, {rows[0]['audio_seconds']:.0f} s ({ready.data.corpus.name}, {config.split})"
    show_table(COLUMNS, rows, f"{member.name}, medians of {config.rounds} rounds, {heard}, {where}")
