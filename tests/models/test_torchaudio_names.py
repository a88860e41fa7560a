"""State dicts of torchaudio's encoders compute here what they compute there."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torchaudio
from torch import Tensor

from allinone.models import TransformerLayout, WaveformLayout
from allinone.models.published_weights import take_published
from allinone.models.torchaudio_names import from_torchaudio, is_torchaudio
from allinone.subnet import SubnetConfig

CONVOLUTIONS = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))
_SMALL: dict[str, Any] = {
    "extractor_conv_layer_config": [(16, kernel, stride) for kernel, stride in CONVOLUTIONS],
    "encoder_embed_dim": 32,
    "encoder_num_layers": 2,
    "encoder_num_heads": 4,
    "encoder_ff_interm_features": 48,
    "encoder_projection_dropout": 0.0,
    "encoder_attention_dropout": 0.0,
    "encoder_ff_interm_dropout": 0.0,
    "encoder_dropout": 0.0,
    "encoder_layer_drop": 0.0,
    "encoder_pos_conv_kernel": 16,
    "encoder_pos_conv_groups": 4,
    "aux_num_out": 29,
}


def make(large: bool, buckets: int | None) -> tuple[Any, TransformerLayout]:
    settings: dict[str, Any] = {
        "extractor_mode": "layer_norm" if large else "group_norm",
        "extractor_conv_bias": large,
        "encoder_layer_norm_first": large,
        **_SMALL,
    }
    torch.manual_seed(0)
    if buckets is None:
        network: Any = torchaudio.models.wav2vec2_model(**settings)
    else:
        network = torchaudio.models.wavlm_model(**settings, encoder_num_buckets=buckets, encoder_max_distance=20)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    front_end = WaveformLayout(
        (16,) * 7, bias=large, norm="layer" if large else "group", position_kernel=16, position_groups=4
    )
    family = "wav2vec2" if buckets is None else "wavlm"
    layout = TransformerLayout(2, 32, 48, 4, front_end, family, norm_first=large, buckets=buckets, longest_distance=20)
    return network.eval(), layout


@torch.no_grad()
def encode(layout: TransformerLayout, weights: Mapping[str, Tensor], waveforms: Tensor) -> Tensor:
    encoder = layout.build(SubnetConfig.uniform(2, 48)).eval()
    encoder.load_state_dict(weights)
    return encoder(waveforms[..., None], torch.tensor([waveforms.shape[1]] * len(waveforms)))[0]


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")
@pytest.mark.parametrize("samples", [8_000, 3_211])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("buckets", [None, 16])
def test_a_state_dict_of_torchaudio_gives_the_frames_of_torchaudio(large, buckets, samples):
    network, layout = make(large, buckets)
    assert is_torchaudio(network.state_dict())
    weights = take_published(layout, from_torchaudio(network.state_dict()), "here")
    waveforms = torch.randn(2, samples, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network.encoder(network.feature_extractor(waveforms, None)[0], None)
    torch.testing.assert_close(encode(layout, weights, waveforms), expected, rtol=0, atol=1e-4)


def test_a_network_for_pre_training_gives_its_encoder_and_its_masked_frame():
    network, layout = make(large=False, buckets=None)
    state = network.state_dict()
    wrapped = {f"wav2vec2.{name}": weight for name, weight in state.items()}
    wrapped |= {"mask_generator.mask_embedding": torch.arange(32.0), "logit_generator.label_embeddings": torch.ones(3)}
    assert is_torchaudio(wrapped)
    weights = dict(take_published(layout, from_torchaudio(wrapped), "here"))
    plain = dict(take_published(layout, from_torchaudio(state), "here"))
    assert torch.equal(weights.pop("front_end.masked"), torch.arange(32.0))
    assert not plain.pop("front_end.masked").any()
    assert weights.keys() == plain.keys()
    assert all(torch.equal(weights[name], plain[name]) for name in plain)


def test_the_names_of_others_are_not_torchaudios():
    assert not is_torchaudio({"encoder.layers.0.attention.q_proj.weight": torch.ones(1)})
