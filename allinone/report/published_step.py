"""The same training step by `transformers`, where it is installed: what ours is measured against."""

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import nn

from allinone.data import Batch
from allinone.layers import FeatureSettings
from allinone.models import Layout, TransformerLayout, WaveformLayout
from allinone.models.published_config import write_config

CASE = "transformers' own step"


def has_published(layout: Layout) -> bool:
    """Whether `transformers` has such a network with a CTC output."""
    return isinstance(layout, TransformerLayout) and isinstance(layout.front_end, WaveformLayout)


def has_published_step(layout: Layout) -> bool:
    """Whether it has one and is installed."""
    return has_published(layout) and find_spec("transformers") is not None


def published_step(
    layout: Layout, features: FeatureSettings, labels: int, batch: Batch, device: str
) -> tuple[nn.Module, Callable[[], None]]:
    """A network of the layout with fresh weights, and its forward and backward pass.

    As ours it has fused attention without dropout of its weights, dropout elsewhere, no masks and no layer drop; what
    is frozen here is frozen there.

    Args:
        layout: of a family of wav2vec 2.0's kin.
        features: how waveforms are normalised.
        labels: of the CTC output.
        batch: what it is trained on, without padding.
        device: where to compute.
    """
    from transformers import AutoConfig, AutoModelForCTC

    assert isinstance(layout, TransformerLayout)
    assert isinstance(layout.front_end, WaveformLayout)
    config = AutoConfig.for_model(
        **write_config(layout, labels),
        activation_dropout=layout.dropout,
        feat_proj_dropout=layout.dropout,
        attention_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        apply_spec_augment=False,
        ctc_zero_infinity=True,
    )
    attention = "eager" if layout.buckets is not None else "sdpa"  # WavLM has the one alone
    network = AutoModelForCTC.from_config(config, attn_implementation=attention).to(device).train()
    if layout.front_end.frozen:
        network.freeze_feature_encoder()
    normalise = features.build().to(device)
    places = torch.arange(batch.labels.shape[1], device=batch.labels.device)
    targets = batch.labels.masked_fill(places >= batch.label_lengths[:, None], -100)

    def step() -> None:
        with torch.no_grad():
            waveforms, _ = normalise(batch.waveforms, batch.lengths)
        network(waveforms[..., 0], labels=targets).loss.backward()

    return network, step
