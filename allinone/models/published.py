"""The names that weights have in Hugging Face's checkpoints."""

import re

from allinone.models.transformer import TransformerLayout

_WAV2VEC2 = (  # ours, theirs
    (r"front_end\.masked", r"masked_spec_embed"),
    (r"front_end\.extractor\.layers\.(\d+)\.convolution", r"feature_extractor.conv_layers.\1.conv"),
    (r"front_end\.extractor\.layers\.(\d+)\.norm", r"feature_extractor.conv_layers.\1.layer_norm"),
    (r"front_end\.feature_norm", r"feature_projection.layer_norm"),
    (r"front_end\.projection", r"feature_projection.projection"),
    (r"front_end\.positions\.direction", r"encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"front_end\.positions\.magnitude", r"encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"front_end\.positions\.bias", r"encoder.pos_conv_embed.conv.bias"),
    (r"front_end\.positions\.layers\.(\d+)", r"encoder.pos_conv_embed.layers.\1.conv"),
    (r"(front_end\.norm|final)", r"encoder.layer_norm"),
    (r"distances\.table", r"encoder.layers.0.attention.rel_attn_embed.weight"),
    (r"layers\.(\d+)\.attention\.gate\.linear", r"encoder.layers.\1.attention.gru_rel_pos_linear"),
    (r"layers\.(\d+)\.attention\.gate\.constant", r"encoder.layers.\1.attention.gru_rel_pos_const"),
    (r"layers\.(\d+)\.attention\.query", r"encoder.layers.\1.attention.q_proj"),
    (r"layers\.(\d+)\.attention\.key", r"encoder.layers.\1.attention.k_proj"),
    (r"layers\.(\d+)\.attention\.value", r"encoder.layers.\1.attention.v_proj"),
    (r"layers\.(\d+)\.attention\.output", r"encoder.layers.\1.attention.out_proj"),
    (r"layers\.(\d+)\.attention_norm", r"encoder.layers.\1.layer_norm"),
    (r"layers\.(\d+)\.feed_forward\.up", r"encoder.layers.\1.feed_forward.intermediate_dense"),
    (r"layers\.(\d+)\.feed_forward\.down", r"encoder.layers.\1.feed_forward.output_dense"),
    (r"layers\.(\d+)\.feed_forward_norm", r"encoder.layers.\1.final_layer_norm"),
)
_WHISPER = (
    (r"front_end\.first", r"conv1"),
    (r"front_end\.second", r"conv2"),
    (r"final", r"layer_norm"),
    (r"layers\.(\d+)\.attention\.query", r"layers.\1.self_attn.q_proj"),
    (r"layers\.(\d+)\.attention\.key", r"layers.\1.self_attn.k_proj"),
    (r"layers\.(\d+)\.attention\.value", r"layers.\1.self_attn.v_proj"),
    (r"layers\.(\d+)\.attention\.output", r"layers.\1.self_attn.out_proj"),
    (r"layers\.(\d+)\.attention_norm", r"layers.\1.self_attn_layer_norm"),
    (r"layers\.(\d+)\.feed_forward\.up", r"layers.\1.fc1"),
    (r"layers\.(\d+)\.feed_forward\.down", r"layers.\1.fc2"),
    (r"layers\.(\d+)\.feed_forward_norm", r"layers.\1.final_layer_norm"),
)
_NUMBERS = re.compile(r"layers\.\d+\.attention\.gate\.numbers")  # of heads: theirs are never sorted


def published_name(layout: TransformerLayout, name: str) -> str | None:
    """Their name, without the family's prefix, of an encoder's tensor; None of what only ours have."""
    if _NUMBERS.fullmatch(name):
        return None
    for ours, theirs in _WHISPER if layout.family == "whisper" else _WAV2VEC2:
        match = re.fullmatch(rf"{ours}(\.weight|\.bias)?", name)
        if match:
            return match.expand(theirs) + (match.groups()[-1] or "")
    raise AssertionError(f"{name} has no published name")
