"""Recognition by CTC, by an attention decoder or by both: the supernet that is trained."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from allinone.decoding import Heard
from allinone.layers import FeatureSettings, SpecAugment, TimeMasks
from allinone.layers.elastic import Elastic
from allinone.layers.pruning import Pruning
from allinone.models import (
    AdaptiveDropout,
    DecoderLayout,
    Encoder,
    Layout,
    full_precision_bytes,
)
from allinone.models.elastic_decoder import ElasticDecoder
from allinone.models.elastic_encoder import ElasticEncoder
from allinone.quantization import Activations, Quantised, Quantizer
from allinone.sparsity import Kept, StraightThrough
from allinone.subnet import Cost, LayerConfig, SearchSpace, SubnetConfig
from allinone.tasks.cost import full_system_bytes, system_cost
from allinone.tasks.groups import refuse_uneven_groups
from allinone.tasks.misfit import refuse_misfit
from allinone.tasks.network import SpeechNetwork, build_network, require_output
from allinone.tasks.output import Output, select_rows
from allinone.tasks.patterns import refuse_uneven_patterns
from allinone.text import Tokenizer


@dataclass(frozen=True)
class Shared:
    """What all members of a step have in common: features, or frames where the front end is shared too.

    Args:
        x: ``(batch, time, bands or dim)``.
        lengths: valid positions, ``(batch,)``.
        masked: frames that a front end that is not shared will replace, ``(batch, frames)``; None if there are none.
    """

    x: Tensor
    lengths: Tensor
    masked: Tensor | None = None

    def select(self, rows: Sequence[int]) -> "Shared":
        """That of some utterances, padded to the longest of them."""
        masked = None if self.masked is None else self.masked[rows]
        return Shared(*select_rows(self.x, self.lengths, rows), masked)


class SpeechTask(nn.Module):
    """A supernet with a CTC output, an attention decoder or both (hybrid, Watanabe et al. 2017).

    Args:
        layout: the family of encoders.
        space: which members there are; the encoder has the size of the largest.
        tokenizer: the labels.
        quantizer: how weights are rounded.
        features: how features are computed.
        attention: sizes of an attention decoder over the encoder; None leaves it out.
        ctc: whether there is a CTC output, a linear map from frames to labels at full precision.
        augment: masks features, or frames, in training; None leaves it out.
        adaptive_dropout: how much less dropout the layers of smaller members get in training, those of encoder and
            decoder; front end and embedding have one size in all members. None gives all members the same.
        layer_drop: probability with which each layer of the encoder is left out in training (LayerDrop, Fan et al.
            2020); never in the largest member, which teaches.
        straight_through: how the weights that a sparse member lacks learn in its passes; None if they do not.
        activations: how linear maps of few bits round their inputs, too; None leaves inputs as they are.
        first_scales: whether scales and survival levels are set from the fresh weights; a supernet that is about to
            take over others, which brings or sets them anew, does without.

    Raises:
        ValueError: if the space, the features, groups of scales or the pattern of zeros do not fit the network, or it
            would have no output.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        space: SearchSpace,
        tokenizer: Tokenizer,
        quantizer: Quantizer,
        features: FeatureSettings,
        attention: DecoderLayout | None = None,
        ctc: bool = True,
        augment: SpecAugment | TimeMasks | None = None,
        adaptive_dropout: AdaptiveDropout | None = None,
        layer_drop: float = 0.0,
        straight_through: StraightThrough | None = None,
        activations: Activations | None = None,
        first_scales: bool = True,
    ) -> None:
        super().__init__()
        require_output(layout, ctc, attention)
        refuse_misfit(layout, space, attention)
        refuse_uneven_groups(layout, space, attention, quantizer)
        refuse_uneven_patterns(layout, space, attention)
        if features.bands != layout.bands:
            raise ValueError(
                f"The network takes {layout.bands} feature bands; found features of {features.bands}. Make them equal."
            )
        if not 0 <= layer_drop < 1:
            raise ValueError(
                f"layer_drop must be a probability from 0 to below 1; found {layer_drop}. Give such a number."
            )
        self.layout, self.space, self.tokenizer, self.quantizer = layout, space, tokenizer, quantizer
        self.attention, self.ctc, self.activations = attention, ctc, activations
        self.features = features.build()
        self.augment, self.adaptive_dropout, self.layer_drop = augment, adaptive_dropout, layer_drop
        self.encoder = ElasticEncoder(
            cast(Encoder, layout.build(space.largest)),
            quantizer,
            space.bits,
            layout.front_end_bits,
            first_scales,
            Pruning.of(space, straight_through),
            activations,
        )
        self.head = nn.Linear(layout.dim, tokenizer.vocab_size) if ctc else None
        self.decoder = attention and ElasticDecoder(
            attention,
            layout.dim,
            tokenizer.vocab_size,
            self.decoder_layers(space.largest),
            quantizer,
            () if space.decoder is None else space.decoder.bits,
            first_scales,
            space.decoder and Pruning.of(space.decoder, straight_through),
            activations,
        )

    def shared(self, waveforms: Tensor, lengths: Tensor, seeds: Tensor | None = None) -> Shared:
        """The part that does not depend on the member.

        Args:
            waveforms: ``(batch, samples)``.
            lengths: valid samples, ``(batch,)``.
            seeds: one per utterance for augmentation, ``(batch,)``; None leaves the features as they are.
        """
        augment, masked = self.augment, None
        with torch.no_grad():
            x, lengths = self.features(waveforms, lengths)
            if seeds is not None and isinstance(augment, SpecAugment):
                x = augment(x, lengths, seeds)
            elif seeds is not None and isinstance(augment, TimeMasks):
                frames = [self.layout.frames(length) for length in lengths.tolist()]
                masked = augment.draw(frames, self.layout.frames(x.shape[1]), seeds.tolist()).to(x.device)
        if self.encoder.shares_front_end:
            return Shared(*self.encoder.embed(x, lengths, self.space.largest, masked))
        return Shared(x, lengths, masked)

    def recognise(self, shared: Shared, subnet: SubnetConfig) -> Heard:
        """The part that does, for decoding."""
        encoded, lengths = self.encode(shared, subnet)
        speller = self.decoder and self.decoder.member(self.decoder_layers(subnet))
        return Heard(self.head and self._labels(encoded), lengths, encoded, speller)

    def encode(self, shared: Shared, subnet: SubnetConfig) -> tuple[Tensor, Tensor]:
        """The encoder alone: frames ``(batch, time, dim)`` and their lengths."""
        x, lengths = self._embedded(shared, subnet)
        return self.encoder.encode(x, lengths, subnet), lengths

    def learn(
        self,
        shared: Shared,
        subnet: SubnetConfig,
        labels: Tensor,
        label_lengths: Tensor,
        depths: Collection[int] = (),
    ) -> Output:
        """The part that does, for training.

        Args:
            shared: what :meth:`shared` gave.
            subnet: the member.
            labels: what was said, ``(batch, labels)``.
            label_lengths: ``(batch,)``.
            depths: after how many layers, besides the last, the CTC output is asked for, if there is one.
        """
        x, lengths = self._embedded(shared, subnet)
        dropout = self._dropout(subnet.layers, self.space.largest.layers)
        after = self.encoder.layer_outputs(x, lengths, subnet, dropout, self._dropped(subnet))
        encoded = self.encoder.finish(after[-1])
        return Output(
            log_probs=self.head and self._labels(encoded),
            lengths=lengths,
            encoded=encoded,
            shallower=tuple(self._labels(self.encoder.finish(after[depth - 1])) for depth in depths),
            spelt=self._spelt(encoded, lengths, subnet, labels),
            spelt_lengths=label_lengths + 1,
        )

    def _embedded(self, shared: Shared, subnet: SubnetConfig) -> tuple[Tensor, Tensor]:
        if self.encoder.shares_front_end:
            return shared.x, shared.lengths
        return self.encoder.embed(shared.x, shared.lengths, subnet, shared.masked)

    def _dropped(self, subnet: SubnetConfig) -> list[int]:
        """The layers that are left out this time."""
        if not self.training or not self.layer_drop or subnet == self.space.largest:
            return []
        draws = torch.rand(subnet.depth).tolist()
        return [index for index, draw in enumerate(draws) if draw < self.layer_drop]

    def _spelt(self, encoded: Tensor, lengths: Tensor, subnet: SubnetConfig, labels: Tensor) -> Tensor | None:
        if self.decoder is None:
            return None
        layers = self.decoder_layers(subnet)
        dropout = self._dropout(layers, self.decoder_layers(self.space.largest))
        return self.decoder(encoded, lengths, labels, layers, dropout)

    def _dropout(self, layers: Sequence[LayerConfig], largest: Sequence[LayerConfig]) -> tuple[float, ...] | None:
        return self.adaptive_dropout and self.adaptive_dropout.factors(layers, largest)

    def _labels(self, encoded: Tensor) -> Tensor:
        assert self.head is not None
        return self.head(encoded).log_softmax(-1, torch.float32)

    def decoder_layers(self, subnet: SubnetConfig) -> tuple[LayerConfig, ...]:
        """The layers of a member's attention decoder; of a network that has one."""
        assert self.attention is not None
        return subnet.decoder or self.attention.whole

    def forward(self, waveforms: Tensor, lengths: Tensor, subnet: SubnetConfig) -> Heard:
        """Recognises as one member: ``(batch, samples)`` and ``(batch,)`` to :class:`Heard`."""
        return self.recognise(self.shared(waveforms, lengths), subnet)

    def frames(self, samples: int) -> int:
        """Output frames of so many samples."""
        return self.layout.frames(self.features.settings.frames(samples))

    def initialise_scales(self) -> None:
        """Sets all learned scales, and all survival levels, from the weights as they are now."""
        for _, elastic in self.parts():
            elastic.initialise_scales()
            elastic.initialise_levels()

    def parts(self) -> Iterator[tuple[str, Elastic]]:
        """All elastic modules under their names in the plain network."""
        for whole, name in ((self.encoder, "encoder"), (self.decoder, "decoder")):
            if whole is not None:
                for part, elastic in whole.parts():
                    yield f"{name}.{part}", elastic

    def build(self, subnet: SubnetConfig) -> SpeechNetwork:
        """A plain network of a member's size, its weights, and the scales of its inputs, yet to be loaded."""
        parts = self.layout, self.features.settings, self.tokenizer, subnet, self.attention, self.ctc
        return build_network(*parts, self.activations)

    def weights(self, subnet: SubnetConfig) -> dict[str, Tensor | Quantised]:
        """The effective weights of a member, under the names of the plain network's state."""
        encoder = {f"encoder.{name}": weight for name, weight in self.encoder.weights(subnet).items()}
        head = {} if self.head is None else self.head.state_dict(prefix="head.")
        head = {name: weight.detach().clone() for name, weight in head.items()}
        if self.decoder is None:
            return encoder | head
        decoder = self.decoder.weights(self.decoder_layers(subnet))
        return encoder | head | {f"decoder.{name}": weight for name, weight in decoder.items()}

    def kept(self, subnet: SubnetConfig) -> dict[str, Kept]:
        """Which weights a member keeps, of those that it prunes, under the names of :meth:`weights`."""
        kept = {f"encoder.{name}": kept for name, kept in self.encoder.kept(subnet).items()}
        if self.decoder is not None:
            above = self.decoder.kept(self.decoder_layers(subnet))
            kept |= {f"decoder.{name}": kept for name, kept in above.items()}
        return kept

    @property
    def most_labels(self) -> int | None:
        """Of a text that can be learnt; None if there is no limit."""
        return self.attention and self.attention.most_labels

    @property
    def full_bytes(self) -> float:
        """Bytes of the whole network at full precision, by the papers' rule: the 1 of every ratio."""
        return full_precision_bytes(self.layout, self.tokenizer.vocab_size, self.ctc)

    @property
    def whole_bytes(self) -> int:
        """Stored bytes of the whole network at full precision."""
        return full_system_bytes(self.layout, self.attention, self.tokenizer.vocab_size, self.ctc)

    def cost(self, subnet: SubnetConfig) -> Cost:
        """What a member costs, its outputs included in the stored bytes."""
        parts = self.layout, self.attention, subnet, self.quantizer, self.tokenizer.vocab_size, self.ctc
        return system_cost(*parts, self.space, self.activations)
