"""What can be pruned of an elastic module, and in which width bands its weights are ranked."""

from dataclasses import dataclass
from typing import cast

from torch import nn

from allinone.layers.axes import Axis
from allinone.sparsity import Pattern, StraightThrough
from allinone.subnet import SearchSpace


@dataclass(frozen=True)
class Pruning:
    """How the linear maps of all layers of a supernet are pruned.

    Args:
        pattern: how zeros lie.
        widths: of the members' feed-forward modules.
        heads: numbers of attention heads of the members; none given if all members have all of them.
        straight_through: how weights that a member lacks learn in its passes; None if they do not.
    """

    pattern: Pattern
    widths: tuple[int, ...]
    heads: tuple[int, ...] = ()
    straight_through: StraightThrough | None = None

    @classmethod
    def of(cls, space: SearchSpace, straight_through: StraightThrough | None = None) -> "Pruning | None":
        """How the members of a space are pruned; None if all are dense."""
        if space.pattern is None:
            return None
        return cls(cast(Pattern, space.pattern), space.widths, space.heads, straight_through)

    def ends(self, axis: Axis) -> tuple[int, ...]:
        """How many entries of an axis each kind of member has: a prefix must be as sparse as it says."""
        return tuple(count * axis.each for count in (self.widths if axis.of == "width" else self.heads))


def linear_weights(module: nn.Module) -> tuple[str, ...]:
    """The names of the weights of a module's linear maps."""
    return tuple(
        f"{name}.weight" if name else "weight" for name, part in module.named_modules() if isinstance(part, nn.Linear)
    )
