"""`allinone subnets`: what the members of a supernet cost, before any training."""

import random
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from allinone.cli.tables import Column, check_format, show_json, show_table
from allinone.models import Layout, encoder_cost, full_precision_bytes
from allinone.quantization import Quantizer
from allinone.subnet import SearchSpace, SubnetConfig

COLUMNS = (
    Column("member", "name"),
    Column("parameters", "parameters", "{:,}"),
    Column("bytes", "bytes", "{:,}"),
    Column("ratio", "ratio", "{:.2f}"),
    Column("bytes stored", "bytes_stored", "{:,}"),
    Column("macs per second", "macs", "{:,}"),
)


def run(config: DictConfig) -> None:
    """Prints one row for each member, the largest first."""
    check_format(config.format)
    space: SearchSpace = instantiate(config.space)
    layout: Layout = instantiate(config.network)
    quantizer: Quantizer = instantiate(config.quantizer)
    members = members_to_list(space, config.sample, config.seed)
    rows = [row(layout, member, quantizer) for member in members]
    if config.format == "json":
        show_json(rows)
        return
    count = f"{space.count():,} members"
    show_table(COLUMNS, rows, count if space.count() == len(rows) else f"{count}, of which {len(rows)} are listed")


def members_to_list(space: SearchSpace, sample: int, seed: int) -> list[SubnetConfig]:
    """The members that a table lists, the largest first.

    Args:
        space: the search space; of a layer-wise one, the largest, the smallest and a sample.
        sample: number of random members of a layer-wise space.
        seed: of the sample.

    Raises:
        ValueError: if a sample is asked for from a space that is listed whole.
    """
    if not space.layerwise:
        if sample:
            raise ValueError(
                f"sample={sample} requires a layer-wise space; found one whose {space.count()} members are all listed. "
                "Leave sample out, or give space.layerwise=true."
            )
        return list(space.uniform_members())
    generator = random.Random(seed)
    wanted = min(sample + len({space.largest, space.smallest}), space.count())
    members = dict.fromkeys((space.largest, space.smallest))  # an ordered set
    while len(members) < wanted:
        members.setdefault(space.sample(generator))
    largest, smallest, *others = members if len(members) > 1 else (space.largest, None)
    return [member for member in (largest, *others, smallest) if member is not None]


def row(layout: Layout, member: SubnetConfig, quantizer: Quantizer) -> dict[str, Any]:
    """The costs of one member, as JSON takes them."""
    cost = encoder_cost(layout, member, quantizer.granularity)
    return {
        "name": member.name,
        "parameters": round(cost.parameters),
        "bytes": round(cost.bytes),
        "ratio": full_precision_bytes(layout) / cost.bytes,
        "bytes_stored": cost.bytes_stored,
        "macs": round(cost.macs),
    }
