"""The training objective of All-in-one (section 2.3): how much each member's losses weigh."""

from dataclasses import dataclass

from allinone.subnet import SubnetConfig


@dataclass(frozen=True)
class Weights:
    """Weights of one member's losses.

    Args:
        loss: lambda1, of its own loss against the transcripts.
        distillation: lambda2, of its divergence from the largest member; 0 trains without a teacher.
    """

    loss: float = 1.0
    distillation: float = 1.0

    def __post_init__(self) -> None:
        if self.loss < 0 or self.distillation < 0:
            raise ValueError(f"Weights of losses must be 0 or more; found {self}. Give weights that are not negative.")


@dataclass(frozen=True)
class Objective:
    """Eq. 4: L_max + sum_i lambda1_i * L_i + lambda2_i * KL(stop_gradient(p_max) || p_i). Eq. 2 is lambda2 = 0.

    Args:
        depth: weights of members with fewer layers than the largest, in the encoder or in the decoder.
        other: weights of members that differ from the largest only in width or precision.
    """

    depth: Weights = Weights(0.8, 0.2)
    other: Weights = Weights(1.0, 1.0)

    def weights(self, member: SubnetConfig, largest: SubnetConfig) -> Weights:
        """The weights of a member; the largest has no teacher."""
        if member == largest:
            return Weights(1.0, 0.0)
        shallower = member.depth < largest.depth or 0 < len(member.decoder) < len(largest.decoder)  # 0: whole
        return self.depth if shallower else self.other
