"""Models: encoder families and attention decoders, their named layouts, and the tensors they are made of."""

from allinone.models.adaptive_dropout import AdaptiveDropout
from allinone.models.builders import (
    conformer_small,
    conformer_switchboard,
    conformer_tiny,
    decoder_small,
    decoder_switchboard,
    decoder_tiny,
    omni_emformer,
    usm_conformer,
)
from allinone.models.conformer import ConformerLayer, ConformerLayout
from allinone.models.cost import encoder_cost
from allinone.models.decoder import TransformerDecoder
from allinone.models.decoder_layout import DecoderLayout
from allinone.models.emformer import EmformerTransducerLayout
from allinone.models.encoder import Encoder
from allinone.models.front_ends import SpectrogramLayout, WaveformLayout
from allinone.models.inventory import Layout, full_precision_bytes
from allinone.models.pretrained import (
    data2vec_base,
    hubert_base,
    hubert_large,
    wav2vec2_base,
    wav2vec2_large,
    wav2vec2_large_lv60,
    wavlm_base,
    wavlm_large,
    whisper_base,
    whisper_small,
    whisper_tiny,
    whisper_tiny_decoder,
    xls_r_2b,
)
from allinone.models.transformer import TransformerLayer, TransformerLayout

__all__ = [
    "AdaptiveDropout",
    "ConformerLayer",
    "ConformerLayout",
    "DecoderLayout",
    "EmformerTransducerLayout",
    "Encoder",
    "Layout",
    "SpectrogramLayout",
    "TransformerDecoder",
    "TransformerLayer",
    "TransformerLayout",
    "WaveformLayout",
    "conformer_small",
    "conformer_switchboard",
    "conformer_tiny",
    "data2vec_base",
    "decoder_small",
    "decoder_switchboard",
    "decoder_tiny",
    "encoder_cost",
    "full_precision_bytes",
    "hubert_base",
    "hubert_large",
    "omni_emformer",
    "usm_conformer",
    "wav2vec2_base",
    "wav2vec2_large",
    "wav2vec2_large_lv60",
    "wavlm_base",
    "wavlm_large",
    "whisper_base",
    "whisper_small",
    "whisper_tiny",
    "whisper_tiny_decoder",
    "xls_r_2b",
]
