"""State dicts of torchaudio's wav2vec 2.0, HuBERT and WavLM, under the names that Hugging Face has for the same."""

import re
from collections.abc import Mapping

from torch import Tensor

_NAMES = (
    (r"wav2vec2\.", ""),  # of a model for pre-training
    (r"mask_generator\.mask_embedding", "masked_spec_embed"),
    (r"encoder\.feature_projection\.", "feature_projection."),
    (r"encoder\.transformer\.", "encoder."),
    (r"(encoder\.layers\.\d+\.attention)\.attention\.out_proj", r"\1.out_proj"),
)
_FUSED = re.compile(r"(.*\.attention)\.attention\.in_proj_(weight|bias)")


def is_torchaudio(state: Mapping[str, Tensor]) -> bool:
    """Whether tensors have torchaudio's names."""
    return any(re.match(r"(wav2vec2\.)?encoder\.transformer\.", name) for name in state)


def from_torchaudio(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under Hugging Face's names, without a family's prefix; the fused projections of WavLM apart."""
    renamed: dict[str, Tensor] = {}
    for name, weight in state.items():
        for theirs, published in _NAMES:
            name = re.sub(f"^{theirs}", published, name)
        if fused := _FUSED.fullmatch(name):
            for projection, part in zip(("q_proj", "k_proj", "v_proj"), weight.chunk(3), strict=True):
                renamed[f"{fused[1]}.{projection}.{fused[2]}"] = part
        else:
            renamed[name] = weight
    return renamed
