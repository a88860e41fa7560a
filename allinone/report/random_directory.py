"""A Hugging Face directory with random weights, to measure with."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from allinone.models import Layout, TransformerLayout
from allinone.models.huggingface import CONFIG, HEAD, HEAD_BIAS
from allinone.models.published_config import write_config
from allinone.models.published_weights import publish
from allinone.report.published_step import has_published
from allinone.subnet import SubnetConfig
from allinone.text.tokenizer import ENGLISH
from allinone.text.vocabulary import BAR, VOCABULARY

_SYMBOLS = ("<pad>", *ENGLISH.replace(" ", BAR).upper())


def write_random(layout: Layout, folder: Path, seed: int) -> None:
    """Writes a network with a CTC output of the English letters.

    Args:
        layout: of a family of wav2vec 2.0's kin.
        folder: an empty one.
        seed: of the weights.

    Raises:
        ValueError: if it is of another family.
    """
    if not has_published(layout):
        raise ValueError(
            "Random weights are written for networks of the wav2vec 2.0 family; found "
            f"{getattr(layout, 'family', type(layout).__name__)}. Give network=wav2vec2_base, for instance, or "
            "init=DIR to measure a directory that is there."
        )
    assert isinstance(layout, TransformerLayout)
    torch.manual_seed(seed)
    encoder = layout.build(SubnetConfig.uniform(layout.num_layers, layout.ffn_dim))
    head = nn.Linear(layout.dim, len(_SYMBOLS))
    tensors = publish(layout, encoder.state_dict()) | {HEAD: head.weight.data, HEAD_BIAS: head.bias.data}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(write_config(layout, len(_SYMBOLS))), encoding="utf-8")
    labels = {symbol: label for label, symbol in enumerate(_SYMBOLS)}
    (folder / VOCABULARY).write_text(json.dumps(labels), encoding="utf-8")
