"""Tensors that are read when they are asked for."""

import torch

from allinone.models.lazy_tensors import LazyTensors


def test_a_tensor_is_made_when_it_is_asked_for_and_each_time_anew():
    asked = []

    def read() -> torch.Tensor:
        asked.append(1)
        return torch.ones(1)

    tensors = LazyTensors({"a": read})
    assert "a" in tensors
    assert "b" not in tensors
    assert (list(tensors), len(tensors), asked) == (["a"], 1, [])
    assert tensors["a"] is not tensors["a"]
    assert len(asked) == 2
    assert tensors.get("b") is None


def test_others_and_other_names_are_read_as_late():
    tensors = LazyTensors({"a": lambda: torch.zeros(1), "b": lambda: torch.ones(1)})
    renamed = LazyTensors.renamed(tensors, {"c": "b"}) | {"a": torch.full((1,), 2.0)}
    assert {name: weight.item() for name, weight in renamed.items()} == {"c": 1.0, "a": 2.0}
    assert {name: weight.item() for name, weight in (tensors | renamed).items()} == {"a": 2.0, "b": 1.0, "c": 1.0}
