"""Tests of held-out examples."""

from types import SimpleNamespace
from typing import Any, cast

import torch

from allinone.cli.examples import Examples, show_examples
from allinone.data import SpeechDataModule
from allinone.data.batch import collate
from allinone.subnet import SubnetConfig
from allinone.tasks.evaluation import Evaluation

REFERENCES = {f"a/{number}": f"text {number}" for number in range(5)}


def make_examples(count: int) -> Examples:
    data = SimpleNamespace(utterances=lambda split: [SimpleNamespace(id=name) for name in REFERENCES])
    return Examples(cast(SpeechDataModule, data), "test", count, seed=0, keep_audio=True)


def make_batches() -> list[Any]:
    batch = collate(
        [torch.full((number + 1,), 0.1) for number in range(5)],
        [[1]] * 5,
        [0] * 5,
        [*REFERENCES],
        [*REFERENCES.values()],
    )
    return [batch]


def test_batches_pass_unchanged_and_no_more_is_kept_than_was_chosen():
    examples, batches = make_examples(2), make_batches()
    assert list(examples.watch(batches)) == batches
    assert set(examples.audio) == set(examples.ids)
    assert all(len(samples) == int(name[-1]) + 1 for name, samples in examples.audio.items())


def test_no_more_are_chosen_than_there_are():
    assert sorted(make_examples(9).ids) == sorted(REFERENCES)


def test_files_bear_names_that_a_folder_can_hold(tmp_path):
    examples = make_examples(2)
    list(examples.watch(make_batches()))
    examples.save(tmp_path / "heard", REFERENCES)
    safe = [name.replace("/", "_") for name in examples.ids]
    assert {path.name for path in (tmp_path / "heard").iterdir()} == {
        "references.tsv",
        *(f"{name}.wav" for name in safe),
    }
    lines = (tmp_path / "heard" / "references.tsv").read_text().splitlines()
    assert lines == ["id\ttext", *(f"{name.replace('/', '_')}\t{REFERENCES[name]}" for name in examples.ids)]


def test_texts_stand_one_below_the_other(capsys):
    examples = make_examples(1)
    heard = Evaluation(SubnetConfig.uniform(2, 32, 4), texts=dict.fromkeys(REFERENCES, "test"))
    show_examples(examples.rows(REFERENCES, [heard]))
    (name,) = examples.ids
    assert capsys.readouterr().out == f"{name}\n  said       {REFERENCES[name]}\n  2-32-4bit  test\n\n"
