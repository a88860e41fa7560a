"""Files of weights as others write them: whole or in shards, safetensors or state dicts; no code is ever unpickled."""

import json
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from allinone.models.lazy_tensors import LazyTensors
from allinone.text.json_file import read_json

_SAFE, _PICKLED, _INDEX = "model.safetensors", "pytorch_model.bin", ".index.json"


def read_weights(folder: Path) -> Mapping[str, Tensor]:
    """All tensors of a Hugging Face directory, as the files hold them: not yet read.

    Those of safetensors are mapped into memory one by one, when they are asked for. Those of a pickled state dict are
    mapped together, so that what was looked at stays in memory as long as any of them is held.

    Raises:
        ValueError: if there are none, if a shard is missing, or if a file cannot be read without running code.
    """
    files = weight_files(folder)
    read: Callable[[Path], Mapping[str, Tensor]] = (
        _read_safetensors if files[0].suffix == Path(_SAFE).suffix else read_state_dict
    )
    shards = map(read, files)
    return LazyTensors({key: partial(shard.__getitem__, key) for shard in shards for key in shard})


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights of a Hugging Face directory.

    Raises:
        ValueError: if there are none, or if a shard is missing.
    """
    for name in (_SAFE, _PICKLED):
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}{_INDEX}").is_file():
            return _shards(folder / f"{name}{_INDEX}")
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "an empty directory"
    raise ValueError(
        f"A Hugging Face directory needs weights in {_SAFE} or {_PICKLED}, whole or in shards with a list of them "
        f"({_SAFE}{_INDEX}); found {found} in {folder}. Copy the weights there."
    )


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict that `torch.save` wrote.

    Raises:
        ValueError: if the file is no such thing, or asks for code to be run.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # whatever a broken archive or a foreign pickle raises
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"A file of weights must hold tensors alone, so that no code of it has to be run; found {path}, which "
            f"cannot be read that way ({reason}). Save the state dict alone, best as {_SAFE}."
        ) from error
    if not isinstance(content, Mapping) or not all(isinstance(weight, Tensor) for weight in content.values()):
        raise ValueError(
            f"A file of weights must hold a state dict, tensors by name; found something else in {path}. "
            "Save the state dict of the model alone."
        )
    return dict(content)


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return LazyTensors({key: partial(_read_tensor, path, key) for key in file.keys()})  # noqa: SIM118
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} must be a safetensors file; found one that cannot be read ({error}). Copy it again."
        ) from error


def _read_tensor(path: Path, key: str) -> Tensor:
    """One tensor in a mapping of its own; changes to it do not reach the file."""
    with safetensors.safe_open(path, framework="pt") as file:
        return file.get_tensor(key)


def _shards(index: Path) -> list[Path]:
    """The files that an index names."""
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict) or not named or not all(isinstance(name, str) for name in named.values()):
        raise ValueError(f"{index} must name a file for each tensor (weight_map); found none. Copy it again.")
    names = sorted(set(named.values()))
    missing = [name for name in names if Path(name).name != name or not (index.parent / name).is_file()]
    if missing:
        raise ValueError(
            f"{index} requires the shards {', '.join(names)} in its own directory; found no {', '.join(missing)}. "
            "Copy what is missing there."
        )
    return [index.parent / name for name in names]
