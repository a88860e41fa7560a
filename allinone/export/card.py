"""The model card of an exported member: what it is, how well it recognises, how to use it."""

from collections.abc import Mapping
from typing import Any

from allinone.export.manifest import Manifest
from allinone.subnet import LayerConfig, SubnetConfig
from allinone.subnet.config import runs
from allinone.tasks.network import outputs_in_words

_CARD = """\
---
library_name: allinone
pipeline_tag: automatic-speech-recognition
---
# Speech recogniser {member}

A stand-alone speech recogniser, audio in, text out: {layers}.

It is one member of a family that was trained in one run by `allinone`; nothing of that family is needed to run it.

| | |
|---|---|
| encoder | {parameters:.2f} million parameters |
| weights on disk | {stored:.2f} MB |
{precisions}| encoder by the papers' rule | {encoder:.2f} MB, {ratio:.1f} times smaller than the largest at 32 bits |
| multiply-accumulates | {macs:.0f} million per second of audio |
| output | {tokens} tokens, {outputs} |
{inputs}{results}
## Use

```python
import allinone

recogniser = allinone.load("path/to/this/folder")
print(recogniser.transcribe_file("recording.wav"))
```

```
allinone transcribe model=path/to/this/folder audio=recording.wav
```

Audio of any sample rate is converted to 16 kHz mono. `model.safetensors` holds packed integers and their scales,
`tokens.txt` the tokens, `manifest.json` everything else, the sha256 of each file included: loading checks them all, so
an edited file (this one, too) is refused.

## Training data and licence

{data}

The weights were learnt from that data: its licence decides how they may be used.
Written by allinone {version}.
"""


def model_card(manifest: Manifest, num_tokens: int) -> str:
    """The text of ``README.md``."""
    return _CARD.format(
        member=manifest.member,
        layers=member_sentence(SubnetConfig.parse(manifest.member)),
        parameters=manifest.parameters / 1e6,
        stored=manifest.bytes_stored / 1e6,
        precisions=_precision_row(manifest.nested or {}),
        encoder=manifest.bytes / 1e6,
        ratio=manifest.ratio,
        macs=manifest.macs / 1e6,
        tokens=num_tokens,
        outputs=outputs_in_words(manifest.network.get("ctc", True), manifest.network.get("attention") is not None),
        inputs=_inputs(manifest.network.get("activations")),
        results=result_rows(manifest.results),
        data=data_sentence(manifest.training_data.get("about"), manifest.training_data.get("hash")),
        version=manifest.versions.get("allinone", "of unknown version"),
    )


def _precision_row(nested: Mapping[str, Mapping[str, Any]]) -> str:
    """The precisions that one file holds, as a row of a table; nothing if there is one."""
    read = (f"{bits} (reads {of_it['bytes_read'] / 1e6:.2f} MB)" for bits, of_it in nested.items())
    return f"| precisions, as `bits=` | {', '.join(read)} |\n" if nested else ""


def _inputs(activations: Mapping[str, str] | None) -> str:
    """How linear maps of few bits round what they are given, as a row of the table."""
    if activations is None:
        return ""
    scales = "a scale for each frame" if activations["kind"] == "DynamicActivations" else "a scale for each map"
    return f"| inputs of linear maps of fewer than 32 bits | rounded to 8 bits, {scales} |\n"


def member_sentence(member: SubnetConfig) -> str:
    """The layers of a member in words."""
    return _layers(member.layers) + (f"; its attention decoder has {_layers(member.decoder)}" if member.decoder else "")


def _layers(layers: tuple[LayerConfig, ...]) -> str:
    return ", then ".join(f"{_count(number, 'layer')} of {_layer(layer)}" for number, layer in runs(layers))


def _layer(layer: LayerConfig) -> str:
    heads = "" if layer.heads is None else f", {_count(layer.heads, 'attention head')}"
    scales = "" if layer.inputs_per_scale is None else f", a scale for every {_count(layer.inputs_per_scale, 'input')}"
    return f"{layer.width} feed-forward units{heads} and {layer.bits} bits per weight{scales}{_zeros(layer)}"


def _zeros(layer: LayerConfig) -> str:
    """How many weights of a layer's linear maps are zero, if any."""
    if not layer.threshold:
        return ""
    if layer.group is None:
        return f" ({100 * layer.sparsity:g} % of those of its linear maps are zero)"
    kept = f"{layer.group - layer.threshold} of every {layer.group}"
    return f" ({kept} of those of its linear maps are kept, the others zero)"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def result_rows(results: Mapping[str, Mapping[str, float]] | None) -> str:
    """Measured error rates as rows of a table."""
    rows = [
        f"| {measure.upper()} on {split} | {value:.2f} % |"
        for split, measures in (results or {}).items()
        for measure, value in measures.items()
    ]
    return "".join(f"{row}\n" for row in rows) or "| error rates | not measured when this was exported |\n"


def data_sentence(about: str | None, digest: str | None) -> str:
    """What is known about the training data."""
    about = about or "The training data was not described when this was exported."
    return f"{about} Hash of the training data: `{digest}`." if digest else about
