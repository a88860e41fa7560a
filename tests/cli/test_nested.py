"""Nested integers through the verbs: trained in all five dimensions, exported once, heard at several precisions."""

import pytest

import allinone
from allinone.training.start import load_task
from tests.cli.conftest import Trained, train

SPACE = (
    "space.bits=[2,4,8]",
    "space.heads=[1,2]",
    "space.layerwise=true",
    "space.sparsities=[0,0.5]",
    "space.pattern={_target_: allinone.sparsity.NOfM, size: 4}",
)
MEMBER = "2-32-8bit-h1-2of4"


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory, corpus) -> Trained:
    return train(tmp_path_factory.mktemp("nested"), corpus, "quantizer=nested", "sampler=in_batch", *SPACE)


def test_one_directory_is_heard_at_every_precision_that_was_trained(call, here, nested, corpus):
    task, _ = load_task(nested.checkpoint)
    assert {len(rows) for name, rows in task.named_parameters() if "log_scales" in name} == {1}
    said = call("export", f"checkpoint={nested.checkpoint}", f"subnet={MEMBER}", "output=every", "nested=true")
    assert said.code == 0
    assert "bits=2 reads 0.0" in said.err
    assert "of them: 2-32-2bit-h1-2of4." in said.err
    audio = next(corpus.parent.rglob("*.wav"))
    for bits in (8, 4, 2):
        said = call("transcribe", "model=every", f"bits={bits}", "--", audio)
        recogniser = allinone.load("every", bits=bits)
        assert (said.code, said.out) == (0, recogniser.transcribe_file(audio) + "\n")
        assert recogniser.member == f"2-32-{bits}bit-h1-2of4"
    said = call("transcribe", "model=every", "bits=3", "--", audio)
    assert (said.code, said.out) == (1, "")
    assert "with 3 bits requires that it holds this precision; found 8, 4, 2. Ask for one of 8, 4, 2" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["subnet=2-32-4bit-h1"], "requires a member whose layers all have 8 bits"),
        (["subnet=largest", "format=huggingface"], "nested=true requires format=allinone; found format=huggingface"),
    ],
)
def test_what_cannot_be_nested_is_refused(call, here, nested, arguments, message):
    said = call("export", f"checkpoint={nested.checkpoint}", "output=every", "nested=true", *arguments)
    assert (said.code, said.out) == (1, "")
    assert message in said.err
    assert not list(here.iterdir())
