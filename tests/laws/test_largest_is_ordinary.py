"""The law of the ordinary largest: at full precision our Conformer layer is transformers' with converted weights."""

import pytest
import torch
from torch import Tensor, nn
from transformers.models.wav2vec2_conformer.configuration_wav2vec2_conformer import Wav2Vec2ConformerConfig
from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import (
    Wav2Vec2ConformerEncoderLayer,
    Wav2Vec2ConformerRelPositionalEmbedding,
)

from allinone.layers import RelativeSelfAttention
from allinone.layers.attention import relative_positions
from allinone.layers.elastic import Elastic
from allinone.models import ConformerLayer
from allinone.quantization import Lsq
from allinone.subnet import LayerConfig

DIM, WIDTH, HEADS, KERNEL = 32, 48, 4, 7
TOLERANCE = 2e-6  # float32; the two add up products in different orders
NAMES = {  # ours: theirs
    "feed_forward_1_norm": "ffn1_layer_norm",
    "feed_forward_1.up": "ffn1.intermediate_dense",
    "feed_forward_1.down": "ffn1.output_dense",
    "attention_norm": "self_attn_layer_norm",
    "attention.query": "self_attn.linear_q",
    "attention.key": "self_attn.linear_k",
    "attention.value": "self_attn.linear_v",
    "attention.output": "self_attn.linear_out",
    "attention.position": "self_attn.linear_pos",
    "attention.content_bias": "self_attn.pos_bias_u",
    "attention.position_bias": "self_attn.pos_bias_v",
    "convolution_norm": "conv_module.layer_norm",
    "convolution.expand": "conv_module.pointwise_conv1",
    "convolution.depthwise": "conv_module.depthwise_conv",
    "convolution.norm": "conv_module.batch_norm.norm",
    "convolution.project": "conv_module.pointwise_conv2",
    "feed_forward_2_norm": "ffn2_layer_norm",
    "feed_forward_2.up": "ffn2.intermediate_dense",
    "feed_forward_2.down": "ffn2.output_dense",
    "final_norm": "final_layer_norm",
}


class TransposedLayerNorm(nn.Module):
    """A layer norm for (batch, dim, time), in the place of a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(DIM)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


@pytest.fixture(scope="module")
def config() -> Wav2Vec2ConformerConfig:
    config = Wav2Vec2ConformerConfig(
        hidden_size=DIM,
        intermediate_size=WIDTH,
        num_attention_heads=HEADS,
        hidden_act="swish",
        conv_depthwise_kernel_size=KERNEL,
        position_embeddings_type="relative",
    )
    config._attn_implementation = "eager"
    return config


@pytest.fixture(scope="module")
def layers(config) -> tuple[ConformerLayer, Wav2Vec2ConformerEncoderLayer]:
    """Ours and theirs with the same weights; theirs has no biases in the convolution module."""
    torch.manual_seed(0)
    ours = ConformerLayer(DIM, WIDTH, RelativeSelfAttention(DIM, HEADS, 0.1), KERNEL, 0.1).eval()
    theirs = Wav2Vec2ConformerEncoderLayer(config).eval()
    theirs.conv_module.register_module("batch_norm", TransposedLayerNorm())
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for convolution in (ours.convolution.expand, ours.convolution.depthwise, ours.convolution.project):
            assert convolution.bias is not None
            convolution.bias.zero_()
    state, wanted = {}, theirs.state_dict()
    for name, weight in ours.state_dict().items():
        module, _, parameter = name.rpartition(".")
        theirs_name = NAMES.get(name) or f"{NAMES[module]}.{parameter}"
        if theirs_name in wanted:
            state[theirs_name] = weight.reshape(wanted[theirs_name].shape)
        else:
            assert not weight.any(), name
    theirs.load_state_dict(state)
    return ours, theirs


@pytest.mark.parametrize("time", [1, 2, 9, 40])
def test_relative_positions_are_those_of_transformers(config, time):
    x = torch.zeros(1, time, DIM)
    torch.testing.assert_close(
        relative_positions(time, DIM, x), Wav2Vec2ConformerRelPositionalEmbedding(config)(x)[0], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("time", [1, 2, 9, 40])
def test_a_largest_layer_at_full_precision_is_that_of_transformers(config, layers, time):
    ours, theirs = layers
    x = torch.randn(3, time, DIM)
    context = ours.context(x, torch.full((3,), time))
    elastic = Elastic(ours, ours.axes, Lsq(), (4, 8))
    with torch.no_grad():
        expected = theirs(x, relative_position_embeddings=Wav2Vec2ConformerRelPositionalEmbedding(config)(x))
        torch.testing.assert_close(ours(x, context), expected, rtol=0, atol=TOLERANCE)
        torch.testing.assert_close(elastic(LayerConfig(WIDTH), x, context), expected, rtol=0, atol=TOLERANCE)


def test_a_padded_batch_is_that_of_transformers_with_its_leaking_convolution_masked(config, layers):
    ours, theirs = layers
    lengths = torch.tensor([30, 17, 5])
    x = torch.randn(3, 30, DIM)
    context = ours.context(x, lengths)
    mask = torch.zeros(3, 1, 1, 30).masked_fill(context.padding[:, None, None], torch.finfo(torch.float32).min)
    positions = Wav2Vec2ConformerRelPositionalEmbedding(config)(x)
    hook = theirs.conv_module.depthwise_conv.register_forward_pre_hook(
        lambda module, inputs: inputs[0].masked_fill(context.padding[:, None], 0)
    )
    with torch.no_grad():
        expected = theirs(x, attention_mask=mask, relative_position_embeddings=positions)
    hook.remove()
    with torch.no_grad():
        found = ours(x, context)
    torch.testing.assert_close(found[~context.padding], expected[~context.padding], rtol=0, atol=TOLERANCE)
