"""Axes: which dimensions of a layer's parameters have units or heads, of which a smaller member has the first ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from allinone.subnet import LayerConfig


@dataclass(frozen=True)
class Axis:
    """A dimension of a parameter of which a smaller member has only the first part.

    Args:
        dim: which dimension.
        of: what lies along it: the units of the feed-forward modules, or attention heads.
        each: entries of each unit or head.
    """

    dim: int
    of: Literal["width", "heads"] = "width"
    each: int = 1

    def kept(self, config: LayerConfig) -> int | None:
        """How many entries a layer keeps; None means all."""
        count = config.width if self.of == "width" else config.heads
        return None if count is None else count * self.each


def head_axes(head_dim: int, key_bias: bool = True) -> dict[str, Axis]:
    """The axes of an attention module's projections ``query``, ``key``, ``value`` and ``output``."""
    heads = Axis(0, "heads", head_dim)
    inwards = {f"{projection}.{part}": heads for projection in ("query", "key", "value") for part in ("weight", "bias")}
    if not key_bias:
        del inwards["key.bias"]
    return inwards | {"output.weight": Axis(1, "heads", head_dim)}


def inside(module: str, axes: Mapping[str, Axis]) -> dict[str, Axis]:
    """The axes of a part of a layer, under the names of the layer.

    Args:
        module: name of the part.
        axes: under the names of the part.
    """
    return {f"{module}.{name}": axis for name, axis in axes.items()}
