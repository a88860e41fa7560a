"""Train once, get a whole family of speech recognisers."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allinone.export.recogniser import load

__all__ = ["__version__", "load"]

try:
    __version__ = version("allinone")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0"


def __getattr__(name: str) -> Any:
    """Imports `load` when it is asked for: the command line starts faster without torch."""
    if name == "load":
        from allinone.export.recogniser import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
