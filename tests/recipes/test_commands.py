"""The README's lines and the demo's script, run in this process at miniature size."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from allinone.cli.main import VERBS, main, split_verb
from allinone.data import write_synthetic_corpus
from tests.data.miniatures import write_librispeech
from tests.published import make_published, save_published, save_whole_whisper

ROOT = Path(__file__).parents[2]
LINES = re.findall(r"^allinone .+$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
SCRIPT = re.findall(r"^run allinone (.+)$", (ROOT / "recipes/amazon_queen/demo.sh").read_text(), flags=re.MULTILINE)
SMALL = (
    "data.num_workers=0",
    "data.prepare_workers=1",
    "data.batch_seconds=10",
    "trainer.max_steps=2",
    "trainer.validate_every_steps=2",
    "trainer.checkpoint_every_steps=1",
    "trainer.accelerator=cpu",
)
TABLE = ("data=table", "data.corpus.table=my/lines.tsv")
PUBLISHED = {"hubert base": "hubert-base-ls960", "wav2vec2 base": "wav2vec2-base-100h", "wavlm large": "wavlm-large"}
TINY = ("network=pretrained", "space.depths=[1,2]", "space.widths=[24,48]")  # the published networks of the tests
TINY_DECODER = (  # of the Whisper among them, which groups of 64 inputs do not divide
    "space.decoder.depths=[1,3]",
    "space.decoder.widths=[20,40]",
    "quantizer=lsq",
)
SMALLER = {  # what makes a verb's lines small, besides a tiny network
    "bench step": ("rounds=1", "seconds=0.5"),
    "bench masks": ("rounds=1", "seconds=0.5"),
    "bench data": ("steps=2", "skip=0", *TABLE, *SMALL[:3]),
    "bench decode": ("rounds=1", "utterances=2"),
    "doctor": (*TABLE, *SMALL[:3]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    """A folder in which the demo has run, with what the README's lines name."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    write_synthetic_corpus(folder / "my", utterances=40, seed=1)
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    for name in ("some.wav", "one.flac", "two of them.mp3"):
        soundfile.write(folder / name, noise, 16_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in SCRIPT:
            assert main(demo_arguments(line)) == 0, line
    return folder


def demo_arguments(line: str) -> list[str]:
    """The arguments of one of the script's lines, as bash would make them."""
    filled = {"$demo": "runs/demo", "$experiment": "amazon_queen_demo"}
    words = [re.sub(r"\$(demo|experiment)", lambda found: filled[found[0]], word) for word in shlex.split(line)]
    arguments = [str(path) for word in words for path in (sorted(Path().glob(word)) if "*" in word else [word])]
    if "$@" in arguments:
        at = arguments.index("$@")
        arguments[at : at + 1] = [*TABLE, *SMALL]
    return arguments


def test_the_demo_trains_evaluates_exports_and_transcribes(folder):
    assert [line.split()[0] for line in SCRIPT] == ["train", "evaluate", "export", "transcribe"]
    assert (folder / "runs/demo/train/checkpoints/model.ckpt").is_file()
    assert len(list((folder / "runs/demo/test").glob("*.trn"))) == 9  # the reference and eight members
    assert (folder / "runs/demo/smallest/manifest.json").is_file()
    assert len(list((folder / "runs/demo/heard").glob("*.wav"))) == 3


def test_the_readme_shows_every_verb():
    assert {split_verb(shlex.split(line)[1:])[0] for line in LINES} == set(VERBS)


def fill_in(arguments: list[str], folder: Path) -> list[str]:
    """The arguments with a miniature corpus and tiny published networks in the places that they name."""
    if not folder.exists():
        for kind, name in PUBLISHED.items():
            save_published(make_published(kind), folder / name)
        save_whole_whisper(folder / "whisper-base.en")
        write_librispeech(folder, ["train-clean-100", "dev-clean", "dev-other", "test-clean", "test-other"])
    own = any("data.corpus.folder" in word for word in arguments)  # LibriSpeech's, in miniature
    return [word for word in arguments if not (own and word in TABLE)]


def newest_run(match: re.Match[str]) -> str:
    """The folder of the newest run of an experiment."""
    return str(max(Path("runs", match[1]).iterdir()))


def test_every_line_of_the_readme_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for line in LINES:
        arguments = shlex.split(line)[1:]
        if "decoder=beam" in line and find_spec("flashlight") is None:
            continue  # it has no wheel for this Python
        verb, _ = split_verb(arguments)
        if verb in ("train", "texts"):
            corpus = () if "data=table" in arguments else TABLE
            arguments += [*corpus, *(SMALL if verb == "train" else ())]
        if verb in SMALLER:
            arguments = [word.replace("amazon_queen_conformer", "tiny_synthetic") for word in arguments]
            arguments += SMALLER[verb]
        if verb == "train" and ("levels=every_k" in arguments or "experiment=amazon_queen_sparse" in arguments):
            arguments.append("levels.every=1")
        if "experiment=amazon_queen_all" in arguments and verb == "train":
            arguments += ["levels.steps=1", "levels.every=1"]
        if "tokenizer=sentencepiece" in arguments:
            arguments.append("tokenizer.vocab_size=12")
        if "DIR/" in line:
            arguments = [*fill_in(arguments, folder / "DIR"), *(["rounds=1"] if verb == "bench pretrained" else TINY)]
        if "attention=pretrained" in arguments:
            arguments += TINY_DECODER
        arguments = [re.sub(r"runs/(\w+)/TIME", newest_run, word) for word in arguments]
        assert main(arguments) == 0, line
