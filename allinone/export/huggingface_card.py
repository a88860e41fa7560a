"""The card of a member in a Hugging Face directory: what it is, what was changed, how to use it."""

from collections.abc import Mapping

from allinone.export.card import data_sentence, member_sentence, result_rows
from allinone.models import TransformerLayout, WaveformLayout
from allinone.subnet import SubnetConfig

_CARD = """\
---
library_name: transformers
pipeline_tag: automatic-speech-recognition
---
# Speech recogniser {member}

A speech recogniser of the family {family}: {layers}.

It is one member of a family that was trained in one run by `allinone`; nothing of that family is needed to run it.

| | |
|---|---|
| weights on disk | {size:.2f} MB in float32 |
| output | {labels} labels, CTC |
{results}
{changes}
## Use

```python
import torch
from transformers import AutoModelForCTC, AutoProcessor

processor = AutoProcessor.from_pretrained("path/to/this/folder")
model = AutoModelForCTC.from_pretrained("path/to/this/folder")
inputs = processor(waveform, sampling_rate=16_000, return_tensors="pt")
with torch.inference_mode():
    labels = model(**inputs).logits.argmax(-1)
print(processor.batch_decode(labels))
```

{padding}

## Training data and licence

{data}

The weights were learnt from that data, and from that of the network that training started from: their licences decide
how they may be used. Written by allinone {version}.
"""


def huggingface_card(
    layout: TransformerLayout,
    subnet: SubnetConfig,
    *,
    size: int,
    labels: int,
    rounded: bool,
    hybrid: bool,
    results: Mapping[str, Mapping[str, float]] | None,
    data: tuple[str | None, str | None],
    version: str,
) -> str:
    """The text of ``README.md``.

    Args:
        layout: of what was written.
        subnet: the member that it is.
        size: bytes of the file of weights.
        labels: how many there are.
        rounded: whether it has weights of few bits.
        hybrid: whether the member had an attention decoder, which was left out.
        results: error rates in percent by split.
        data: what the training data is, and its hash.
        version: of allinone.
    """
    return _CARD.format(
        member=subnet.name,
        family=layout.family,
        layers=member_sentence(SubnetConfig(subnet.layers)),
        size=size / 1e6,
        labels=labels,
        results=result_rows(results),
        changes="".join(f"* {change}\n" for change in _changes(layout, subnet, rounded, hybrid)),
        padding=_padding(layout),
        data=data_sentence(*data),
        version=version,
    )


def _changes(layout: TransformerLayout, subnet: SubnetConfig, rounded: bool, hybrid: bool) -> list[str]:
    """In what the directory differs from the member."""
    changes = []
    if rounded:
        changes.append(
            "The weights are the values that few bits hold, written in float32: the directory is not smaller for them."
        )
    if any(layer.width != layout.ffn_dim for layer in subnet.layers):
        changes.append(
            f"Layers of fewer than {layout.ffn_dim} feed-forward units are filled up with zeros to that many, which "
            "changes no output."
        )
    if any(layer.heads not in (None, layout.num_heads) for layer in subnet.layers):
        changes.append(
            f"Layers of fewer than {layout.num_heads} attention heads are filled up with zeros to that many, which "
            "changes no output."
        )
    if hybrid:
        changes.append("The attention decoder that was trained with it is left out: only the CTC output is here.")
    return changes


def _padding(layout: TransformerLayout) -> str:
    front = layout.front_end
    assert isinstance(front, WaveformLayout)
    if front.norm == "layer" and front.position_layers is None:
        return "Utterances of a batch are told apart by the attention mask that the processor gives."
    return (
        "Give utterances of different lengths one by one: in a padded batch of `transformers` the padding changes what "
        "a network of this kind says of shorter ones."
    )
