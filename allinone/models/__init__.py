"""Models: encoder families and attention decoders, their named layouts, and the tensors they are made of."""

from allinone.models.adaptive_dropout import AdaptiveDropout
from allinone.models.builders import (
    conformer_small,
    conformer_switchboard,
    conformer_tiny,
    decoder_small,
    decoder_switchboard,
    decoder_tiny,
)
from allinone.models.conformer import ConformerLayer, ConformerLayout
from allinone.models.decoder import DecoderLayout, TransformerDecoder
from allinone.models.encoder import Encoder
from allinone.models.inventory import Layout, encoder_cost, full_precision_bytes, tensor_cost
from allinone.models.wav2vec2 import Wav2Vec2Layout, wav2vec2_base

__all__ = [
    "AdaptiveDropout",
    "ConformerLayer",
    "ConformerLayout",
    "DecoderLayout",
    "Encoder",
    "Layout",
    "TransformerDecoder",
    "Wav2Vec2Layout",
    "conformer_small",
    "conformer_switchboard",
    "conformer_tiny",
    "decoder_small",
    "decoder_switchboard",
    "decoder_tiny",
    "encoder_cost",
    "full_precision_bytes",
    "tensor_cost",
    "wav2vec2_base",
]
