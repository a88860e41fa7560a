"""Elastic heads through the verbs: trained, evaluated, exported and heard like any other dimension."""

import json

import pytest

from allinone.export import Manifest
from tests.cli.conftest import Trained, train


@pytest.fixture(scope="module")
def with_heads(tmp_path_factory: pytest.TempPathFactory, corpus, trained) -> Trained:
    """A run over one width and two numbers of heads, from one without; it starts with a compression warm-up."""
    settings = ("space.heads=[1,2]", "space.widths=[64]", "sampler=progressive", "sampler.warm_up.steps=3")
    order = "sampler.warm_up.order=[bits,heads,depth]"
    return train(tmp_path_factory.mktemp("heads"), corpus, *settings, order, f"init={trained.checkpoint}")


def test_members_with_fewer_heads_are_evaluated_under_their_names(call, here, with_heads):
    said = call("evaluate", f"checkpoint={with_heads.checkpoint}", "format=json", "device=cpu")
    names = [row["name"] for row in json.loads(said.out)]
    assert names == [f"{depth}-64-{bits}bit-h{heads}" for depth in (3, 2) for heads in (2, 1) for bits in (8, 4)]


def test_a_member_with_fewer_heads_is_exported_and_transcribes(call, here, with_heads, corpus):
    arguments = ("export", f"checkpoint={with_heads.checkpoint}", "output=small")
    assert call(*arguments, "subnet=2-64-4bit-h1").code == 0
    assert Manifest.read(here / "small").member == "2-64-4bit-h1"
    assert "2 layers of 64 feed-forward units, 1 attention head and 4 bits" in (here / "small/README.md").read_text()
    recording = min((corpus.parent / "audio").glob("*.wav"))
    said = call("transcribe", "model=small", f"audio={recording}")
    assert (said.code, said.err) == (0, "")


def test_a_name_without_heads_is_refused_with_the_nearest_names(call, here, with_heads):
    said = call("export", f"checkpoint={with_heads.checkpoint}", "output=small", "subnet=2-64-4bit")
    assert said.code == 1
    assert "1 or 2 heads and 4 or 8 bits, the same in every layer; found '2-64-4bit'" in said.err
