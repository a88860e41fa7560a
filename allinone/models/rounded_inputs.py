"""Which linear maps of a plain network round their inputs: those whose weights have few bits."""

from collections.abc import Sequence

from torch import nn

from allinone.layers.linear import round_all_inputs
from allinone.models.decoder import TransformerDecoder
from allinone.models.encoder import Encoder
from allinone.quantization import Activations
from allinone.subnet import FULL_PRECISION, LayerConfig


def round_encoder_inputs(
    encoder: Encoder, layers: Sequence[LayerConfig], front_end_bits: int | None, activations: Activations | None
) -> None:
    """Makes an encoder round inputs as a member does, by scales that are yet to be loaded.

    Args:
        encoder: a plain one.
        layers: those of the member.
        front_end_bits: precision of its front end; None means that of the first layer.
        activations: how inputs are rounded; None leaves them as they are.
    """
    _round(encoder.front_end, layers[0].bits if front_end_bits is None else front_end_bits, activations)
    for layer, config in zip(encoder.layers, layers, strict=True):
        _round(layer, config.bits, activations)


def round_decoder_inputs(
    decoder: TransformerDecoder, layers: Sequence[LayerConfig], activations: Activations | None
) -> None:
    """The same of an attention decoder, whose output has the precision of the first layer."""
    _round(decoder.output, layers[0].bits, activations)
    for layer, config in zip(decoder.layers, layers, strict=True):
        _round(layer, config.bits, activations)


def _round(module: nn.Module, bits: int, activations: Activations | None) -> None:
    if activations is not None and bits < FULL_PRECISION:
        round_all_inputs(module, activations)
