"""Where to compute: what `device=` means."""

import torch


def device(name: str) -> str:
    """The device that is meant by a name or by ``auto``: a GPU if there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
