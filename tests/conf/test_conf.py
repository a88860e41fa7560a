"""Tests of the configuration: every file composes and gives what it says, every documented command is one."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.utils import get_class, instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from allinone.cli.main import TAKES_FILES, VERBS, split_verb
from allinone.data import SpeechDataModule
from allinone.decoding import Beam, Greedy, Joint, NgramBeam, Rescoring
from allinone.layers import FeatureSettings, SpecAugment, TimeMasks
from allinone.models import (
    AdaptiveDropout,
    ConformerLayout,
    DecoderLayout,
    EmformerTransducerLayout,
    TransformerLayout,
    wav2vec2_base,
)
from allinone.models.published_config import write_config
from allinone.quantization import AbsMax, AbsMean, DynamicActivations, Lsq, Nested, StaticActivations
from allinone.sparsity import Adam, EveryK, FewShot, Magnitude, OneShot, StraightThrough, Taylor
from allinone.subnet import SandwichSampler, SearchSpace, WarmUp
from allinone.text import BpeTokenizer, Tokenizer
from allinone.training import AdamW, FitSettings, Objective
from tests.whisper_tokenizer import write_tokenizer

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("__pycache__", "hydra"))
FILES = [(group, path.stem) for group in GROUPS if group != "experiment" for path in sorted((CONF / group).glob("*"))]
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
ARGUMENTS = {"model", "checkpoint", "subnet", "audio", "output", "resume", "references", "split", "format", "files"}
ARGUMENTS |= {"reference", "hypotheses", "names"}
KINDS: dict[str, Any] = {
    "activations": (DynamicActivations, StaticActivations, type(None)),
    "adaptive_dropout": (AdaptiveDropout, type(None)),
    "attention": (DecoderLayout, type(None)),
    "augment": (SpecAugment, TimeMasks, type(None)),
    "criterion": (Magnitude, Adam, Taylor),
    "data": SpeechDataModule,
    "decoder": (Greedy, Beam, NgramBeam, Joint, Rescoring),
    "features": FeatureSettings,
    "levels": (OneShot, FewShot, EveryK, type(None)),
    "network": (ConformerLayout, TransformerLayout, EmformerTransducerLayout),
    "objective": Objective,
    "optimizer": AdamW,
    "quantizer": (Lsq, Nested, AbsMax, AbsMean),
    "space": SearchSpace,
    "straight_through": (StraightThrough, type(None)),
    "trainer": FitSettings,
}
USERS_OWN = {  # what a file leaves to the user
    "data.corpus.table": "lines.tsv",
    "init": "weights",
    "data.corpus.folder": "speech",
    "decoder.ngram": "words.arpa",
    "sampler.warm_up.steps": 500,
}


TRAINING_GROUPS = [group for group in GROUPS if group not in ("experiment", "decoder")]


def compose(verb: str, *overrides: str) -> DictConfig:
    with hydra.initialize_config_module("allinone.conf", version_base="1.3"):
        return hydra.compose(verb, list(overrides))


def check_part(config: DictConfig, group: str) -> None:
    """Instantiates one part as the command does, and looks at what came out."""
    for key in OmegaConf.missing_keys(config):
        if key in USERS_OWN:
            OmegaConf.update(config, key, USERS_OWN[key])
    settings = config[group]
    if group == "logger":  # its package need not be installed
        assert settings is None or issubclass(get_class(settings._target_), Logger)
        return
    part = instantiate(settings)
    if group == "sampler":
        assert part(space=instantiate(config.space)).members(0, 0)
    elif group == "tokenizer":
        assert (part if isinstance(part, Tokenizer) else part(["some words"] * 20, **small(settings))).vocab_size > 2
    elif group == "schedule":
        assert 0 < part.factor(0, 100) <= 1
    else:
        assert isinstance(part, KINDS[group])


def small(settings: DictConfig) -> dict[str, int]:
    """As many pieces as a few words give."""
    return {"vocab_size": 9} if "vocab_size" in settings else {}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    """A Hugging Face directory, as far as a configuration needs one."""
    folder = tmp_path_factory.mktemp("pretrained")
    (folder / "config.json").write_text(json.dumps(write_config(wav2vec2_base(), 3)))
    (folder / "vocab.json").write_text(json.dumps({"<pad>": 0, "a": 1, "b": 2}))
    return folder


@pytest.mark.parametrize(("group", "name"), FILES, ids=lambda value: value)
def test_every_file_gives_its_part(group, name, pretrained, tmp_path):
    verbs = ("evaluate", "transcribe", "bench_decode") if group == "decoder" else ("train",)
    folder = write_tokenizer(tmp_path) if group == "attention" else pretrained
    start = [f"init={folder}"] if name == "pretrained" else []
    for verb in verbs:
        check_part(compose(verb, f"{group}={name}", *start), group)


def test_a_pretrained_network_is_that_of_a_named_folder_or_of_the_start(pretrained):
    for override in (f"network.folder={pretrained}", f"init={pretrained}"):
        layout = instantiate(compose("subnets", "network=pretrained", override).network)
        assert layout == wav2vec2_base()


def test_pretrained_labels_are_whispers_where_the_directory_is(tmp_path):
    given = "tokenizer.folder=" + str(write_tokenizer(tmp_path)), 'tokenizer.alphabet=" \'abc"'
    tokenizer = instantiate(compose("train", "tokenizer=pretrained", *given).tokenizer)
    assert tokenizer == BpeTokenizer.read(tmp_path, alphabet=" 'abc")


def test_the_labels_of_published_english_networks_are_32():
    tokenizer = instantiate(compose("train", "tokenizer=wav2vec2").tokenizer)
    assert tokenizer.symbols == ("<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_gives_all_its_parts(experiment, tmp_path):
    config = compose("train", f"experiment={experiment}")
    if "folder" in config.tokenizer:
        config.tokenizer.folder = str(write_tokenizer(tmp_path))
    for group in TRAINING_GROUPS:
        check_part(config, group)
    assert compose("subnets", f"experiment={experiment}").network == config.network


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_begins_with_paper_command_expectation_and_cost(experiment):
    lines = (CONF / "experiment" / f"{experiment}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    header = "\n".join(lines[1 : next(index for index, line in enumerate(lines) if not line.startswith("#"))])
    for part in ("# command:  allinone ", "# expected: ", "# cost:     "):
        assert part in header


@pytest.mark.parametrize(
    ("dimension", "members"),
    [
        ("depth", ["12-2048-32bit", "8-2048-32bit"]),
        ("width", ["12-2048-32bit", "12-1024-32bit"]),
        ("precision", ["12-2048-8bit", "12-2048-4bit"]),
    ],
)
def test_an_experiment_of_table_1_trains_one_dimension_as_table_2_trains_all(dimension, members):
    config, whole = (compose("train", f"experiment=switchboard_conformer{name}") for name in (f"_{dimension}", ""))
    space = instantiate(config.space)
    assert [member.name for member in space.uniform_members()] == members
    assert {member.name for member in instantiate(config.sampler)(space=space).members(0, 0)} == set(members)
    config.space = whole.space
    assert config == whole


@pytest.mark.parametrize(
    "overrides",
    [
        ["sampler=progressive", "sampler.warm_up.steps=500"],
        ["sampler=in_batch", "sampler.warm_up={_target_: allinone.subnet.WarmUp, steps: 500}"],
    ],
    ids=lambda overrides: overrides[0],
)
def test_a_warm_up_is_a_part_of_a_sandwich(overrides):
    config = compose("train", *overrides)
    assert instantiate(config.sampler)(space=instantiate(config.space)).warm_up == WarmUp(500)


def test_a_sandwich_has_no_warm_up_unless_asked():
    config = compose("train", "sampler=sandwich")
    sampler = instantiate(config.sampler)(space=instantiate(config.space))
    assert isinstance(sampler, SandwichSampler)
    assert sampler.warm_up is None


@pytest.mark.parametrize("name", [name for group, name in FILES if group == "space" and name != "conformer_small_all"])
def test_every_space_may_have_numbers_of_heads_and_has_none_unless_asked(name):
    whole, elastic = (
        instantiate(compose("train", f"space={name}", *heads).space) for heads in ((), ("space.heads=[2,4]",))
    )
    assert (whole.heads, elastic.heads) == ((), (2, 4))
    assert elastic.largest.encoder.name == f"{whole.largest.encoder.name}-h4"


@pytest.mark.parametrize("name", [name for group, name in FILES if group == "space"])
def test_every_space_may_have_scale_groups_and_has_none_unless_asked(name):
    groups = ["space.scale_groups=[null,64,16]", "space.bits=[4]"]
    whole, grouped = (instantiate(compose("train", f"space={name}", *more).space) for more in ([], groups))
    assert (grouped.scale_groups, grouped.largest.layers[0].inputs_per_scale) == ((None, 64, 16), 16)
    assert whole.scale_groups == () or name.startswith("usm_lite")


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("whisper_tiny", [f"4-{w}-{b}bit_{d}-{w}-{b}bit" for d in (4, 3) for w in (1536, 1152) for b in (8, 4)]),
        ("whisper_tiny_dense", ["4-1536-32bit_4-1536-32bit"]),
    ],
)
def test_whispers_encoder_and_decoder_choose_together(name, members):
    space = instantiate(compose("train", f"space={name}").space)
    assert [member.name for member in space.uniform_members()] == members
    heads = instantiate(compose("train", f"space={name}", "space.heads=[4,6]", "space.decoder.heads=[2,6]").space)
    assert heads.largest.name == "-h6_".join(members[0].split("_")) + "-h6"
    assert heads.smallest.name == "-h4_".join(members[-1].split("_")) + "-h2"
    assert heads.count() == 2 * len(members)


def test_every_encoder_goes_with_every_decoder_if_they_do_not_choose_together():
    space = instantiate(compose("train", "space=whisper_tiny", "space.together=false").space)
    assert space.count() == 4 * 8


def test_a_space_may_bring_the_space_of_a_decoder():
    decoder = "{_target_: allinone.subnet.SearchSpace, depths: [2, 1], widths: [32], bits: [4, 32]}"
    space = instantiate(compose("train", "space=conformer_tiny", f"+space.decoder={decoder}").space)
    assert space == SearchSpace((2, 3), (32, 64), (4, 8), decoder=SearchSpace((1, 2), (32,), (4, 32)))


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: path.relative_to(CONF).as_posix())
def test_every_file_says_first_what_it_is(path):
    assert path.read_text().startswith("# ")


def test_no_group_bears_the_name_of_an_argument():
    assert not ARGUMENTS & set(GROUPS)
    for verb in ("evaluate", "score", "report", "compare", "export", "transcribe", "bench_decode"):
        settings = (key for key in compose(verb) if key not in ("data", "decoder"))  # these are parts there, too
        assert not set(settings) & set(GROUPS)


def documented() -> Iterator[Any]:
    """Every command in the documents, the help texts and the headers of experiments."""
    papers = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "recipes").rglob("*.md")]
    texts = {
        path: re.findall(r"^```.*?\n(.*?)^```", path.read_text(), re.M | re.S) for path in papers if path.is_file()
    }
    texts |= {path: [path.read_text()] for path in CONF.glob("*.yaml")}
    texts |= {path: [path.read_text()] for path in CONF.glob("*/*.yaml")}
    for path, blocks in sorted(texts.items()):
        lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
        for line in lines:
            found = re.match(
                r"(?:\s*#?\s*(?:command:)?\s*|\s*\$\s*)(?:\.venv/bin/)?(allinone (?!VERB|[\w ]+:).*)", line
            )
            if found and "`" not in line:
                yield pytest.param(found[1], id=f"{path.relative_to(ROOT).as_posix()}: {found[1]}")


@pytest.mark.parametrize("command", list(documented()))
def test_every_documented_command_has_a_known_verb_and_known_settings(command):
    verb, overrides = split_verb(shlex.split(command, comments=True)[1:])
    if verb in ("--help", "-h"):
        return
    assert verb in VERBS
    if "--" in overrides:
        assert verb in TAKES_FILES
        overrides = overrides[: overrides.index("--")]
    if "-m" in overrides:
        overrides = [override.split(",")[0] for override in overrides]  # the first value stands for all
    left_open = {f"{group}=..." for group in GROUPS}
    compose(
        verb.replace(" ", "_"),
        *(override for override in overrides if not override.startswith("-") and override not in left_open),
    )
