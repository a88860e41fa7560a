"""What the tests of the laws share about Transformer encoders: a tiny supernet of every family."""

from typing import Any

import torch

from allinone.layers import TimeMasks, WaveformSettings, WhisperLogMelSettings
from allinone.models import DecoderLayout, SpectrogramLayout, TransformerLayout, WaveformLayout
from allinone.quantization import Activations, Lsq, PerChannel, Quantizer
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.input_ranges import calibrate_inputs
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer
from tests.laws.examples import make_batch

CHANNELS = (12,) * 7
SIZES: dict[str, Any] = {"num_layers": 3, "dim": 16, "ffn_dim": 24, "num_heads": 4, "dropout": 0.0}
LARGE: dict[str, Any] = {"bias": True, "norm": "layer", "position_kernel": 8, "position_groups": 4}
BASE: dict[str, Any] = {"position_kernel": 8, "position_groups": 4}
LAYOUTS = {
    "wav2vec2": TransformerLayout(**SIZES, front_end=WaveformLayout(CHANNELS, **BASE), family="wav2vec2"),
    "wav2vec2 large": TransformerLayout(
        **SIZES, front_end=WaveformLayout(CHANNELS, **LARGE), family="wav2vec2", norm_first=True
    ),
    "wavlm": TransformerLayout(**SIZES, front_end=WaveformLayout(CHANNELS, **BASE), family="wavlm", buckets=16),
    "data2vec": TransformerLayout(
        **SIZES,
        front_end=WaveformLayout(CHANNELS, norm="layer", position_kernel=5, position_groups=4, position_layers=2),
        family="data2vec-audio",
    ),
    "whisper": TransformerLayout(
        **SIZES, front_end=SpectrogramLayout(20), family="whisper", norm_first=True, key_bias=False
    ),
    "wide heads": TransformerLayout(
        **SIZES, front_end=WaveformLayout(CHANNELS, frozen=False, **BASE), family="hubert", head_dim=6
    ),
    "front end of the member's bits": TransformerLayout(
        **SIZES, front_end=WaveformLayout(CHANNELS, frozen=False, **BASE), family="hubert", front_end_bits=None
    ),
}
MIXED = SubnetConfig.parse("1-24-3bit-h2+1-12-8bit-h4+1-24-32bit-h2")
MEMBERS = [MIXED, *(SubnetConfig.parse(name) for name in ("3-24-32bit-h4", "2-12-4bit-h2"))]


def make_transformer(
    layout: TransformerLayout,
    quantizer: Quantizer | None = None,
    augment: TimeMasks | None = None,
    attention: DecoderLayout | None = None,
    layer_drop: float = 0.0,
    activations: Activations | None = None,
) -> SpeechTask:
    """A supernet of two depths, widths and numbers of heads, layer by layer, with the weights of a fresh one."""
    torch.manual_seed(0)
    raw = isinstance(layout.front_end, WaveformLayout)
    task = SpeechTask(
        layout=layout,
        space=SearchSpace((2, 3), (12, 24), (3, 4, 8, 32), layerwise=True, heads=(2, 4)),
        tokenizer=CharTokenizer(),
        quantizer=quantizer or Lsq(PerChannel()),
        features=WaveformSettings() if raw else WhisperLogMelSettings(bands=20),
        augment=augment,
        attention=attention,
        layer_drop=layer_drop,
        activations=activations,
    )
    calibrate_inputs(task, [make_batch(seed=7)])
    return task
