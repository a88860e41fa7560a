"""Tests of what the configuration says about sparsity."""

from pathlib import Path

import hydra
import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig

from allinone.models import AdaptiveDropout
from allinone.sparsity import Blocks
from allinone.subnet import CubicGrowth

CONF = Path(__file__).parents[2] / "conf"
HAVE_SOME = {"omni_emformer", "conformer_small_sparse", "conformer_small_all", "usm_lite_2b"}
SPACES = sorted({path.stem for path in (CONF / "space").glob("*.yaml")} - HAVE_SOME)


def compose(*overrides: str) -> DictConfig:
    with hydra.initialize_config_module("allinone.conf", version_base="1.3"):
        return hydra.compose("train", list(overrides))


@pytest.mark.parametrize("name", SPACES)
def test_every_space_without_sparsities_may_be_given_some(name):
    zeros = ("space.sparsities=[0.8,0.5]", "space.pattern={_target_: allinone.sparsity.Blocks, rows: 4}")
    whole, sparse = (instantiate(compose(f"space={name}", *more).space) for more in ((), zeros))
    assert (whole.sparsities, whole.pattern) == ((), None)
    assert (sparse.sparsities, sparse.pattern, sparse.largest) == ((0.5, 0.8), Blocks(4, 1), whole.largest)
    groups = "space.pattern={_target_: allinone.sparsity.NOfM, size: 4}"
    sparse = instantiate(compose(f"space={name}", "space.sparsities=[0.5]", groups).space)
    assert sparse.smallest.encoder.name == f"{whole.smallest.encoder.name}-2of4"


def test_omni_sparsity_has_a_dense_largest_member_and_a_million_million_sparse_ones():
    """Four sparsities in each of 20 layers."""
    config = compose("experiment=omni_emformer", "space.layerwise=true")
    space = instantiate(config.space)
    assert space.count() == 1 + 4**20
    sampler = instantiate(config.sampler)(space=space)
    assert sampler.members(0, 0) == (space.largest,)
    assert [len(sampler.members(256 * update, 0)) for update in (50, 256)] == [2, 4]
    assert sampler.members(256 * 256, 0)[:2] == space.ends


def test_one_space_has_all_five_dimensions_and_its_largest_member_is_dense():
    """In each layer 2 widths x 2 numbers of heads x 3 precisions x dense or 2:4."""
    config = compose("experiment=amazon_queen_all")
    space = instantiate(config.space)
    assert space.count() == 24**4 + 24**5 + 24**6
    assert [member.name for member in space.ends] == ["6-512-8bit-h4", "4-256-2bit-h2-2of4"]
    assert config.init == "recipes/amazon_queen/dense.ckpt"
    members = instantiate(config.sampler)(space=space).members(0, 0)
    assert members[:2] == space.ends
    assert len(members) == 4


@pytest.mark.parametrize(
    "sampler",
    [("sandwich",), ("in_batch",), ("grid",), ("fixed",), ("progressive", "sampler.warm_up.steps=9")],
    ids=lambda sampler: sampler[0],
)
def test_sparsity_may_grow_in_every_sampler_and_does_not_unless_asked(sampler):
    growth = "sampler.growth={_target_: allinone.subnet.CubicGrowth, updates: 9}"
    for more, expected in (((), None), ((growth,), CubicGrowth(256, 9))):
        config = compose(f"sampler={sampler[0]}", *sampler[1:], *more)
        assert instantiate(config.sampler)(space=instantiate(config.space)).growth == expected


@pytest.mark.parametrize(
    ("name", "powers"),
    [("member_size", (1, 1, 0, 0)), ("sparsity", (0, 0, 0, 1)), ("member_size_and_sparsity", (1, 1, 0, 1))],
)
def test_adaptive_dropout_measures_size_or_sparsity_or_both(name, powers):
    assert instantiate(compose(f"adaptive_dropout={name}").adaptive_dropout) == AdaptiveDropout(*powers)
