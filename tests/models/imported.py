"""What tests of imported networks share: them as plain modules, changed copies of directories, comparisons."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from allinone.models.huggingface import Pretrained
from allinone.subnet import SubnetConfig

TOLERANCE = 1e-4


def build(pretrained: Pretrained) -> tuple[nn.Module, nn.Linear]:
    """Encoder and CTC output as plain modules."""
    layout = pretrained.layout
    encoder, head = layout.build(SubnetConfig.uniform(layout.num_layers, layout.ffn_dim)), nn.Linear(layout.dim, 32)
    parts = nn.ModuleDict({"encoder": encoder, "head": head}).eval()
    missing = parts.load_state_dict(pretrained.weights, strict=pretrained.tokenizer is not None).missing_keys
    assert all(name.startswith("head.") for name in missing)
    return encoder, head


def noise(*shape: int) -> Tensor:
    """The same noise each time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def assert_close(found: Tensor, expected: Tensor) -> None:
    """Within the tolerance of the oracles."""
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


def rewrite(source: Path, target: Path, change: Any) -> Path:
    """A copy of a directory with other tensors."""
    for path in source.iterdir():
        if path.suffix == ".json":
            (target / path.name).write_bytes(path.read_bytes())
    save_file(
        {name: weight.contiguous() for name, weight in change(load_file(source / "model.safetensors")).items()},
        target / "model.safetensors",
    )
    return target


def assert_same(one: Pretrained, other: Pretrained, tolerance: float = 0.0) -> None:
    """Whether two imports brought the same weights, in float32."""
    assert one.weights.keys() == other.weights.keys()
    for name, weight in one.weights.items():
        assert weight.dtype == other.weights[name].dtype == torch.float32
        torch.testing.assert_close(weight, other.weights[name], rtol=tolerance, atol=tolerance)
