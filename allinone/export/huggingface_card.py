"""The card of a member in a Hugging Face directory: what it is, what was changed, how to use it."""

from collections.abc import Iterable, Mapping

from allinone.export.card import data_sentence, member_sentence, result_rows
from allinone.export.huggingface_parts import Directory
from allinone.models import DecoderLayout, TransformerLayout, WaveformLayout
from allinone.subnet import LayerConfig, SubnetConfig

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
| output | {labels} labels, {output} |
{results}
{changes}
## Use

{use}

## Training data and licence

{data}

The weights were learnt from that data, and from that of the network that training started from: their licences decide
how they may be used. Written by allinone {version}.
"""

_CTC = """\
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

{padding}"""

_WHISPER = """\
This network was trained on utterances of their own length, and recognises them so in `allinone`. `transformers` fills
every recording up to 30 s with silence, on which it was neither trained nor measured. So tell it how long each one is:

```python
import torch
from transformers import AutoProcessor, WhisperForConditionalGeneration

processor = AutoProcessor.from_pretrained("path/to/this/folder")
model = WhisperForConditionalGeneration.from_pretrained("path/to/this/folder")
positions = model.model.encoder.embed_positions.weight


def transcribe(waveform):
    waveform = waveform[: len(waveform) // 320 * 320]  # 16 kHz; whole frames of 20 ms
    inputs = processor(waveform, sampling_rate=16_000, padding=False, return_tensors="pt")
    frames = inputs.input_features.shape[-1] // 2
    model.config.max_source_positions = frames
    model.model.encoder.embed_positions = torch.nn.Embedding.from_pretrained(positions[:frames])
    labels = model.generate(inputs.input_features, max_new_tokens=min(frames, {most_labels}))
    return processor.batch_decode(labels, skip_special_tokens=True)[0].strip()


print(transcribe(waveform))
```

`pipeline("automatic-speech-recognition")` and `processor(waveform)` without `padding=False` do fill up: the outputs are
then those that the trained network has for the recording with silence behind it, and the error rates above do not hold
for them. Cut recordings longer than 30 s at pauses: `transformers` takes them only with `return_timestamps=True`,
and timestamps were not trained. `generation_config.json` forbids no label, so that silence may have an empty text.

A published Whisper knows 30 s alone: told how long a recording is, it says the text again and again. A network that
began as one and was trained little may do so still. Compare both ways on recordings of yours."""


def huggingface_card(
    directory: Directory,
    subnet: SubnetConfig,
    *,
    size: int,
    rounded: bool,
    results: Mapping[str, Mapping[str, float]] | None,
    data: tuple[str | None, str | None],
    version: str,
) -> str:
    """The text of ``README.md``.

    Args:
        directory: what was written.
        subnet: the member that it is.
        size: bytes of the file of weights.
        rounded: whether it has weights of few bits.
        results: error rates in percent by split.
        data: what the training data is, and its hash.
        version: of allinone.
    """
    layout, attention = directory.layout, directory.attention
    decoder = () if attention is None else subnet.decoder or attention.whole
    member = SubnetConfig(subnet.layers, decoder)
    return _CARD.format(
        member=subnet.name,
        family=layout.family,
        layers=member_sentence(member),
        size=size / 1e6,
        labels=directory.vocab_size,
        output="CTC" if attention is None else "an attention decoder",
        results=result_rows(results),
        changes="".join(f"* {change}\n" for change in _changes(directory, member, rounded)),
        use=_CTC.format(padding=_padding(layout))
        if attention is None
        else _WHISPER.format(most_labels=attention.most_labels),
        data=data_sentence(*data),
        version=version,
    )


def _changes(directory: Directory, member: SubnetConfig, rounded: bool) -> list[str]:
    """In what the directory differs from the member."""
    changes = []
    if rounded:
        changes.append(
            "The weights are the values that few bits hold, written in float32: the directory is not smaller for them."
        )
    if directory.attention is None:
        changes += _filled_up("Layers", directory.layout, member.layers)
    else:
        changes += _filled_up("Encoder layers", directory.layout, member.layers)
        changes += _filled_up("Decoder layers", directory.attention, member.decoder)
    if directory.left_out:
        changes.append(
            f"The {directory.left_out} that was trained with it is left out: only the {directory.kept} is here."
        )
    return changes


def _filled_up(subject: str, layout: TransformerLayout | DecoderLayout, layers: Iterable[LayerConfig]) -> list[str]:
    """Which of the layers have zeros among their weights."""
    widths, heads = {layer.width for layer in layers}, {layer.heads for layer in layers}
    wanting = [(layout.ffn_dim, "feed-forward units")] if widths != {layout.ffn_dim} else []
    wanting += [(layout.num_heads, "attention heads")] if heads - {None, layout.num_heads} else []
    return [
        f"{subject} of fewer than {number} {noun} are filled up with zeros to that many, which changes no output."
        for number, noun in wanting
    ]


def _padding(layout: TransformerLayout) -> str:
    front = layout.front_end
    assert isinstance(front, WaveformLayout)
    if front.norm == "layer" and front.position_layers is None:
        return "Utterances of a batch are told apart by the attention mask that the processor gives."
    return (
        "Give utterances of different lengths one by one: in a padded batch of `transformers` the padding changes what "
        "a network of this kind says of shorter ones."
    )
