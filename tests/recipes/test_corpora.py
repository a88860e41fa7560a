"""The experiments on large corpora start on miniatures of the same layout, and every evaluation set can be scored."""

import json
from pathlib import Path

import pytest

from allinone.cli.main import main
from tests.data.miniatures import PARTS, write_librispeech, write_switchboard
from tests.published import make_published, save_published

SMALL = (
    "network=conformer_tiny",
    "space=conformer_tiny",
    "data.num_workers=0",
    "data.batch_seconds=60",
    "trainer.max_steps=2",
    "trainer.accumulate=1",
    "trainer.validate_every_steps=2",
    "trainer.checkpoint_every_steps=1",
    "trainer.accelerator=cpu",
)
PIECES = {"librispeech_conformer_100": 14, "librispeech_conformer_960": 14, "switchboard_conformer": 26}
LIBRISPEECH = ("dev-clean", "dev-other", "test-clean", "test-other")
TELEPHONE = ("test-hub5-swbd", "test-hub5-callhome", "test-rt02", "test-rt03-swbd", "test-rt03-fisher")


def train(experiment: str, corpus: Path, *settings: str) -> Path:
    """Trains two steps; the run's folder."""
    pieces = f"tokenizer.vocab_size={PIECES[experiment]}"
    assert main(["train", f"experiment={experiment}", f"data.corpus.folder={corpus}", pieces, *SMALL, *settings]) == 0
    (folder,) = Path("runs", experiment).iterdir()
    assert json.loads((folder / "results.json").read_text())["steps"] == 2
    return folder


def splits(folder: Path) -> dict[str, int]:
    """Lines of each split, by the run's data report."""
    return {split: kept["lines"] for split, kept in json.loads((folder / "data.json").read_text())["kept"].items()}


def evaluate(folder: Path, split: str) -> int:
    """Evaluates the smallest member on a split; the number of its utterances."""
    checkpoint = f"checkpoint={folder / 'checkpoints' / 'model.ckpt'}"
    place = folder / split
    assert main(["evaluate", checkpoint, f"split={split}", "subnets=smallest", f"hydra.run.dir={place}"]) == 0
    return json.loads((place / "results.json").read_text())["utterances"]


@pytest.mark.parametrize(
    ("experiment", "parts"),
    [
        ("librispeech_conformer_100", ["train-clean-100", *LIBRISPEECH]),
        ("librispeech_conformer_960", PARTS),
    ],
)
def test_librispeech_trains_and_each_of_its_sets_is_scored(tmp_path, monkeypatch, experiment, parts):
    monkeypatch.chdir(tmp_path)
    folder = train(experiment, write_librispeech(tmp_path, parts))
    training = sum(part.startswith("train") for part in parts)
    assert splits(folder) == {"train": 6 * training} | dict.fromkeys(LIBRISPEECH, 6)
    assert evaluate(folder, "test-other") == 6
    assert evaluate(folder, "dev") == 12


@pytest.mark.parametrize("kind", ["wav2vec2 base", "hubert large", "data2vec"])
def test_pretrained_encoders_are_fine_tuned(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    published = save_published(make_published(kind), tmp_path / "published")
    corpus = write_librispeech(tmp_path, ["train-clean-100", *LIBRISPEECH])
    sizes = ("network=pretrained", "space.depths=[1,2]", "space.widths=[24,48]")
    start = ("train", "experiment=librispeech_wav2vec2", f"init={published}", f"data.corpus.folder={corpus}")
    steps = [setting for setting in SMALL if "conformer" not in setting]
    assert main([*start, *sizes, *steps]) == 0
    (folder,) = Path("runs", "librispeech_wav2vec2").iterdir()
    assert "CTC output begins anew" not in (folder / "log.txt").read_text()
    assert evaluate(folder, "test-other") == 6


def test_switchboard_trains_and_each_of_its_sets_is_scored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = write_switchboard(tmp_path / "ldc", conversations=4)
    folder = train("switchboard_conformer", corpus, "data.corpus.dev_utterances=4", "data.max_bad_share=0.5")
    sizes = splits(folder)
    assert sizes.keys() == {"train", "dev", *TELEPHONE}
    for split in TELEPHONE:
        assert evaluate(folder, split) == sizes[split] > 0
    assert evaluate(folder, "test-hub5") == 4


def test_a_set_that_is_not_there_is_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = write_switchboard(tmp_path / "ldc", conversations=4)
    small = ("data.corpus.dev_utterances=4", "data.max_bad_share=0.5")
    folder = train("switchboard_conformer", corpus, *small, "data.corpus.rt02=null")
    assert "test-rt02" not in splits(folder)


def test_another_layout_is_told_before_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    top = write_librispeech(tmp_path, ["dev-clean"])
    assert main(["train", "experiment=librispeech_conformer_100", f"data.corpus.folder={top}"]) == 1
    error = capsys.readouterr().err
    assert "LibriSpeech requires the folders train-clean-100, dev-clean," in error
    assert "LibriSpeech: dev-clean/; unpack train-clean-100, dev-other, test-clean, test-other there" in error


@pytest.mark.parametrize("split", ["test-rt04", "dev-clean"])
def test_a_split_that_the_corpus_lacks_is_told_with_those_it_has(tmp_path, monkeypatch, capsys, split):
    monkeypatch.chdir(tmp_path)
    parts = "data.corpus.parts=[train-clean-100,dev-other,test-clean]"
    folder = train("librispeech_conformer_100", write_librispeech(tmp_path), parts)
    assert main(["evaluate", f"checkpoint={folder / 'checkpoints' / 'model.ckpt'}", f"split={split}"]) == 1
    error = capsys.readouterr().err
    assert f"split '{split}', found none (usable utterances: train 6, dev-other 6, test-clean 6)" in error
