"""Tensors that are read when they are asked for, so that a whole network of them need not be in memory."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from torch import Tensor


class LazyTensors(Mapping[str, Tensor]):
    """Tensors by name, each made anew whenever it is asked for: who drops it gives its memory back.

    Args:
        readers: of each tensor what makes it.
    """

    def __init__(self, readers: Mapping[str, Callable[[], Tensor]]) -> None:
        self._readers = dict(readers)

    @classmethod
    def renamed(cls, tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> "LazyTensors":
        """Some tensors under other names.

        Args:
            tensors: where they are.
            names: of each new name the one there.
        """
        return cls({new: partial(tensors.__getitem__, old) for new, old in names.items()})

    def __or__(self, others: Mapping[str, Tensor]) -> "LazyTensors":
        return LazyTensors(self._readers | {name: partial(others.__getitem__, name) for name in others})

    def __getitem__(self, name: str) -> Tensor:
        return self._readers[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._readers

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)
