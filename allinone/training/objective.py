"""The training objective of All-in-one (section 2.3): what each member's losses are, and how much they weigh."""

from dataclasses import dataclass, field

from torch import Tensor

from allinone.layers import padding_mask
from allinone.losses import Divergence, Kl, attention_losses, ctc_losses, squared_distances, valid_means
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.output import Output


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

    With an attention decoder a loss is (1 - ctc_weight) * attention + ctc_weight * CTC, and so is a divergence; what
    weighs nothing is not computed. The distance of the hidden frames is added to the divergence, so that lambda2 says
    for both how much a member listens to its teacher, and lambda2 = 0 still means that there is none.

    Args:
        depth: weights of members with fewer layers than the largest, in the encoder or in the decoder.
        other: weights of members that differ from the largest only in width, heads or precision.
        ctc_weight: of the CTC output where there is an attention decoder, too, 0 to 1; 0 for a network without one.
        label_smoothing: of the attention decoder, 0 to below 1.
        intermediate: weight of the CTC loss after fewer layers (intermediate CTC, Lee & Watanabe 2021), averaged over
            the depths; every member trains the shallower ones of its kind along, in the same pass. 0 leaves it out.
        intermediate_depths: after how many layers; None means the depths of the space.
        divergence: of a member's outputs from the teacher's, in place of the equation's.
        hidden: weight, beside the divergence, of the mean squared difference of the encoder's last frames from the
            teacher's, both of which are normalised. 0 leaves it out.
    """

    depth: Weights = Weights(0.8, 0.2)
    other: Weights = Weights(1.0, 1.0)
    ctc_weight: float = 0.2
    label_smoothing: float = 0.1
    intermediate: float = 0.0
    intermediate_depths: tuple[int, ...] | None = None
    divergence: Divergence = field(default_factory=Kl)
    hidden: float = 0.0

    def __post_init__(self) -> None:
        if self.intermediate_depths is not None:
            object.__setattr__(self, "intermediate_depths", tuple(self.intermediate_depths))
        shares_are_sound = 0 <= self.ctc_weight <= 1 and 0 <= self.label_smoothing < 1
        if not (shares_are_sound and self.intermediate >= 0 and self.hidden >= 0):
            raise ValueError(
                "An objective requires ctc_weight from 0 to 1, label_smoothing from 0 to below 1, and intermediate and "
                f"hidden of 0 or more; found {self.ctc_weight}, {self.label_smoothing}, {self.intermediate} and "
                f"{self.hidden}. Correct them."
            )

    def refuse_misfit(self, ctc: bool) -> None:
        """Raises ValueError if it asks for a CTC output that a network has not; ``ctc`` says whether it has."""
        if not ctc and (self.ctc_weight or self.intermediate):
            raise ValueError(
                "The objective of a network without a CTC output requires ctc_weight=0 and intermediate=0; found "
                f"ctc_weight={self.ctc_weight} and intermediate={self.intermediate}. Give objective.ctc_weight=0 and "
                "objective.intermediate=0, or ctc=true."
            )

    def weights(self, member: SubnetConfig, largest: SubnetConfig, outside: bool = False) -> Weights:
        """The weights of a member; the largest has no teacher, unless there is one from ``outside``."""
        if member == largest and not outside:
            return Weights(1.0, 0.0)
        shallower = member.depth < largest.depth or 0 < len(member.decoder) < len(largest.decoder)  # 0: whole
        return self.depth if shallower else self.other

    def depths(self, member: SubnetConfig, space: SearchSpace) -> tuple[int, ...]:
        """After how many layers, besides its last, a member's CTC output is trained."""
        if not self.intermediate:
            return ()
        depths = space.depths if self.intermediate_depths is None else self.intermediate_depths
        return tuple(depth for depth in depths if depth < member.depth)

    def losses(self, output: Output, labels: Tensor, label_lengths: Tensor) -> Tensor:
        """The loss of each utterance, ``(batch,)``.

        Args:
            output: what a member says.
            labels: what was said, ``(batch, labels)``.
            label_lengths: ``(batch,)``.
        """
        ctc, attention = self._shares(output)
        parts = []
        if attention:
            assert output.spelt is not None
            parts.append(attention * attention_losses(output.spelt, labels, label_lengths, self.label_smoothing))
        if ctc:
            assert output.log_probs is not None
            parts.append(ctc * ctc_losses(output.log_probs, output.lengths, labels, label_lengths))
        for log_probs in output.shallower:
            shallower = ctc_losses(log_probs, output.lengths, labels, label_lengths)
            parts.append(self.intermediate / len(output.shallower) * shallower)
        return sum(parts[1:], parts[0])

    def divergences(self, output: Output, teacher: Output) -> Tensor:
        """How far each utterance's outputs are from the teacher's, ``(batch,)``; averaged over frames and labels."""
        ctc, attention = self._shares(output)
        parts = []
        if attention:
            assert output.spelt is not None
            assert teacher.spelt is not None
            parts.append(attention * _means(self.divergence(output.spelt, teacher.spelt), output.spelt_lengths))
        if ctc:
            assert output.log_probs is not None
            assert teacher.log_probs is not None
            parts.append(ctc * _means(self.divergence(output.log_probs, teacher.log_probs), output.lengths))
        if self.hidden:
            hidden = _means(squared_distances(output.encoded, teacher.encoded), output.lengths)
            parts.append(self.hidden * hidden)
        return sum(parts[1:], parts[0])

    def _shares(self, output: Output) -> tuple[float, float]:
        """How much the CTC output and the attention decoder count."""
        return (1.0, 0.0) if output.spelt is None else (self.ctc_weight, 1 - self.ctc_weight)


def _means(values: Tensor, lengths: Tensor) -> Tensor:
    return valid_means(values, lengths, padding_mask(lengths, values.shape[1]))
