"""Which members of a space a table lists, and what stands in it about their size."""

import random
from typing import Any

from allinone.subnet import Cost, SearchSpace, SubnetConfig


def members_to_list(space: SearchSpace, sample: int, seed: int) -> list[SubnetConfig]:
    """The members that a table lists, the largest first.

    Args:
        space: the search space; of one that is layer-wise, or whose decoder is, its ends and a sample.
        sample: number of random members of a layer-wise space.
        seed: of the sample.

    Raises:
        ValueError: if a sample is asked for from a space that is listed whole, or of a negative size.
    """
    if sample < 0 or (sample and space.all_uniform):
        raise ValueError(
            f"sample requires a layer-wise space, and a number of members; found sample={sample} and a space "
            f"{f'whose {space.count()} members are all listed' if space.all_uniform else 'that is layer-wise'}. "
            f"Leave sample out{'' if space.together else ', or give space.layerwise=true'}."
        )
    if space.all_uniform:
        return list(space.uniform_members())
    generator = random.Random(seed)
    between: dict[SubnetConfig, None] = {}
    while len(between) < min(sample, space.count() - len(space.ends)):
        member = space.sample(generator)
        if member not in space.ends:
            between.setdefault(member)
    return list(dict.fromkeys((space.largest, *between, space.smallest)))


def size(full: float, whole: int, cost: Cost) -> dict[str, Any]:
    """The columns on the size of a member, as JSON takes them.

    Args:
        full: bytes of the largest network at full precision, by the papers' rule.
        whole: stored bytes of the whole recogniser at full precision.
        cost: of the member.
    """
    return {
        "parameters": round(cost.parameters),
        "bytes": round(cost.bytes),
        "ratio": full / cost.bytes,
        "bytes_stored": cost.bytes_stored,
        "system_ratio": whole / cost.bytes_stored,
        "macs": round(cost.macs),
    }
