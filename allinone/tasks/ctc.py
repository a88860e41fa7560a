"""Recognition by CTC: the supernet that is trained, and the plain network that is exported."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from allinone.layers import LogMel, LogMelSettings, SpecAugment, padding_mask
from allinone.losses import ctc_losses, kl_divergences
from allinone.models import Encoder, Layout, encoder_cost, tensor_cost
from allinone.models.elastic_encoder import ElasticEncoder
from allinone.models.inventory import FEATURE_FRAMES
from allinone.quantization import Quantised, Quantizer
from allinone.subnet import Cost, SearchSpace, SubnetConfig, TensorSpec
from allinone.tasks.network import CtcNetwork, CtcOutput, build_network, select_rows
from allinone.text import Tokenizer


@dataclass(frozen=True)
class Shared:
    """What all members of a step have in common: features, or frames where the front end is shared too.

    Args:
        x: ``(batch, time, bands or dim)``.
        lengths: valid positions, ``(batch,)``.
    """

    x: Tensor
    lengths: Tensor

    def select(self, rows: Sequence[int]) -> "Shared":
        """That of some utterances, padded to the longest of them."""
        return Shared(*select_rows(self.x, self.lengths, rows))


class CtcTask(nn.Module):
    """A supernet with a CTC output.

    Args:
        layout: the family of encoders.
        space: which members there are; the encoder has the size of the largest.
        tokenizer: the labels.
        quantizer: how weights are rounded.
        features: how features are computed.
        augment: masks features in training; None leaves it out.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        space: SearchSpace,
        tokenizer: Tokenizer,
        quantizer: Quantizer,
        features: LogMelSettings,
        augment: SpecAugment | None = None,
    ) -> None:
        super().__init__()
        refuse_misfit(layout, space)
        if features.bands != layout.bands:
            raise ValueError(
                f"The network takes {layout.bands} feature bands; found features of {features.bands}. Make them equal."
            )
        self.layout, self.space, self.tokenizer, self.quantizer = layout, space, tokenizer, quantizer
        self.features = LogMel(features)
        self.augment = augment
        encoder = cast(Encoder, layout.build(space.largest))
        self.encoder = ElasticEncoder(encoder, quantizer, space.bits, layout.front_end_bits)
        self.head = nn.Linear(layout.dim, tokenizer.vocab_size)

    def shared(self, waveforms: Tensor, lengths: Tensor, seeds: Tensor | None = None) -> Shared:
        """The part that does not depend on the member.

        Args:
            waveforms: ``(batch, samples)``.
            lengths: valid samples, ``(batch,)``.
            seeds: one per utterance for augmentation, ``(batch,)``; None leaves the features as they are.
        """
        with torch.no_grad():
            x, lengths = self.features(waveforms, lengths)
            if seeds is not None and self.augment is not None:
                x = self.augment(x, lengths, seeds)
        if self.encoder.shares_front_end:
            x, lengths = self.encoder.embed(x, lengths, self.space.largest)
        return Shared(x, lengths)

    def recognise(self, shared: Shared, subnet: SubnetConfig) -> CtcOutput:
        """The part that does."""
        x, lengths = shared.x, shared.lengths
        if not self.encoder.shares_front_end:
            x, lengths = self.encoder.embed(x, lengths, subnet)
        encoded = self.encoder.encode(x, lengths, subnet)
        return CtcOutput(self.head(encoded).log_softmax(-1, torch.float32), lengths)

    def forward(self, waveforms: Tensor, lengths: Tensor, subnet: SubnetConfig) -> CtcOutput:
        """Recognises as one member: ``(batch, samples)`` and ``(batch,)`` to :class:`CtcOutput`."""
        return self.recognise(self.shared(waveforms, lengths), subnet)

    def losses(self, output: CtcOutput, labels: Tensor, label_lengths: Tensor) -> Tensor:
        """The loss of each utterance, ``(batch,)``; labels are ``(batch, labels)``."""
        return ctc_losses(output.log_probs, output.lengths, labels, label_lengths)

    def divergences(self, output: CtcOutput, teacher: CtcOutput) -> Tensor:
        """How far each utterance's outputs are from the teacher's, ``(batch,)``."""
        padding = padding_mask(output.lengths, output.log_probs.shape[1])
        return kl_divergences(output.log_probs, teacher.log_probs, output.lengths, padding)

    def frames(self, samples: int) -> int:
        """Output frames of so many samples."""
        return self.layout.frames(self.features.settings.frames(samples))

    def initialise_scales(self) -> None:
        """Sets all learned scales from the weights as they are now."""
        for _, elastic in self.encoder.parts():
            elastic.initialise_scales()

    def build(self, subnet: SubnetConfig) -> CtcNetwork:
        """A plain network of a member's size, its weights yet to be loaded."""
        return build_network(self.layout, self.features.settings, self.tokenizer, subnet)

    def weights(self, subnet: SubnetConfig) -> dict[str, Tensor | Quantised]:
        """The effective weights of a member, under the names of the plain network's state."""
        head = {f"head.{name}": weight.detach().clone() for name, weight in self.head.named_parameters()}
        return {f"encoder.{name}": weight for name, weight in self.encoder.weights(subnet).items()} | head

    def cost(self, subnet: SubnetConfig) -> Cost:
        """What a member costs, its head included in the stored bytes and the products."""
        return ctc_cost(self.layout, subnet, self.quantizer, self.tokenizer.vocab_size)


def refuse_misfit(layout: Layout, space: SearchSpace) -> None:
    """Raises ValueError if a space has members that are larger than the network, or have a decoder part."""
    if space.decoder is not None:
        raise ValueError(
            "A search space with a decoder requires a network with an attention decoder; found one with a CTC output "
            "alone. Leave space.decoder out."
        )
    if space.depths[-1] > layout.num_layers or space.widths[-1] > layout.ffn_dim:
        raise ValueError(
            f"The search space must fit into the network of {layout.num_layers} layers and width {layout.ffn_dim}; "
            f"found depths up to {space.depths[-1]} and widths up to {space.widths[-1]}. Lower them, or take a "
            "larger network."
        )


def ctc_cost(layout: Layout, subnet: SubnetConfig, quantizer: Quantizer, vocab_size: int) -> Cost:
    """What a member costs: the papers count the encoder, the artefact stores the head as well (once)."""
    granularity = quantizer.granularity
    head = () if layout.has_head else _head(layout, vocab_size)
    return sum((tensor_cost(spec, granularity) for spec in head), encoder_cost(layout, subnet, granularity))


def _head(layout: Layout, vocab_size: int) -> Iterable[TensorSpec]:
    frames = layout.frames(FEATURE_FRAMES)
    yield TensorSpec("head.weight", (vocab_size, layout.dim), uses=frames, counted=False)
    yield TensorSpec("head.bias", (vocab_size,), counted=False)
