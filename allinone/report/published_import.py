"""A pretrained directory read by `transformers`, where it is installed: what our import is measured against."""

from pathlib import Path
from typing import Any

import torch
from torch import nn


def prepare_published(folder: Path) -> None:
    """Loads the code that reading a directory needs."""
    from transformers import AutoConfig
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with torch.device("meta"):
        _class(folder).from_config(AutoConfig.from_pretrained(folder, local_files_only=True))


def read_published(folder: Path) -> nn.Module:
    """The network as `transformers` reads it: its weights stay in the file until they are used."""
    return _class(folder).from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def read_published_into_memory(folder: Path) -> nn.Module:
    """The same network, each of its weights read into memory of its own, as a training will need it."""
    network = read_published(folder)
    for parameter in network.parameters():
        parameter.data = parameter.data.clone()
    return network


def _class(folder: Path) -> Any:
    from transformers import AutoConfig, AutoModel, AutoModelForCTC

    family = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    return AutoModel if family == "whisper" else AutoModelForCTC
