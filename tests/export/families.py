"""What the tests of exports share: tiny supernets whose weights have left where they began, and a written member."""

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from allinone.export import write_artefact
from allinone.export.manifest import file_entry
from allinone.layers import LogMelSettings
from allinone.models import ConformerLayout, DecoderLayout, conformer_tiny
from allinone.quantization import Lsq, Quantizer
from allinone.subnet import SearchSpace, SubnetConfig
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer, Tokenizer

BITS = (2, 3, 4, 6, 8, 32)
MIXED = SubnetConfig.parse("1-64-3bit+1-32-8bit+1-48-32bit")
RATES = {"test": {"wer": 23.125, "cer": 9.5}}


def relative() -> ConformerLayout:
    """The paper's kind of network in miniature: relative positions, and a front end as precise as the member."""
    return ConformerLayout(
        num_layers=3,
        dim=24,
        ffn_dim=64,
        num_heads=2,
        kernel_size=5,
        subsampling_channels=6,
        separable_subsampling=False,
        positions="relative",
        front_end_bits=None,
    )


LAYOUTS: dict[str, Callable[[], ConformerLayout]] = {"rotary": conformer_tiny, "relative": relative}


def make_task(
    layout: ConformerLayout | None = None,
    quantizer: Quantizer | None = None,
    tokenizer: Tokenizer | None = None,
    attention: DecoderLayout | None = None,
    decoder: SearchSpace | None = None,
    heads: tuple[int, ...] = (),
    ctc: bool = True,
) -> SpeechTask:
    """A layer-wise supernet as after some training: no weight, bias, norm or scale is where it began."""
    parts = layout or conformer_tiny(), quantizer or Lsq(), tokenizer or CharTokenizer()
    return copy.deepcopy(_trained(*parts, attention, decoder, heads, ctc))


@cache
@torch.no_grad()
def _trained(
    layout: ConformerLayout,
    quantizer: Quantizer,
    tokenizer: Tokenizer,
    attention: DecoderLayout | None,
    decoder: SearchSpace | None,
    heads: tuple[int, ...],
    ctc: bool,
) -> SpeechTask:
    torch.manual_seed(0)
    task = SpeechTask(
        layout=layout,
        space=SearchSpace((1, 2, 3), (32, 48, 64), BITS, layerwise=True, decoder=decoder, heads=heads),
        attention=attention,
        ctc=ctc,
        tokenizer=tokenizer,
        quantizer=quantizer,
        features=LogMelSettings(),
    )
    generator = torch.Generator().manual_seed(1)
    for parameter in task.parameters():
        parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return task


def write(folder: Path, member: str = "2-32-4bit", **changes: Any) -> Path:
    """A written member of such a supernet."""
    return write_artefact(make_task(), SubnetConfig.parse(member), folder, **changes)


def read_manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the manifest in place, and makes its hashes fit the files as they are now."""
    content = read_manifest(folder)
    change(content)
    for name in content.get("files", {}):
        if (folder / name).is_file():
            content["files"][name] = file_entry(folder / name)
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
