"""Sub-networks are values that check and name themselves."""

import pytest

from allinone.subnet import Cost, LayerConfig, SubnetConfig, TensorSpec, total


def test_names_are_the_papers_and_runs_of_layers_are_joined():
    assert SubnetConfig.uniform(12, 2048, 8).name == "12-2048-8bit"
    layers = (LayerConfig(64, 8), LayerConfig(64, 8), LayerConfig(32, 8), LayerConfig(64, 8))
    assert str(SubnetConfig(layers)) == "2-64-8bit+1-32-8bit+1-64-8bit"


def test_equal_members_have_one_name_and_are_one_key():
    split = SubnetConfig.parse("1-64-8bit+1-64-8bit")
    assert split == SubnetConfig.uniform(2, 64, 8)
    assert split.name == "2-64-8bit"
    assert len({split, SubnetConfig.uniform(2, 64, 8)}) == 1


def test_layers_become_a_tuple():
    assert SubnetConfig([LayerConfig(8)]).layers == (LayerConfig(8, 32),)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["", "12-2048", "12-2048-8", "a-b-cbit", "12-2048-8bit+", "12-2048-8bit 1-1-8bit"])
def test_malformed_names_are_refused(name):
    with pytest.raises(
        ValueError, match=r"is depth-width-bits, such as 12-2048-8bit.*; found .*\. Write it in that form"
    ):
        SubnetConfig.parse(name)


def test_impossible_members_are_refused():
    with pytest.raises(ValueError, match=r"needs a width of at least 1 unit; found 0\. Give"):
        LayerConfig(0)
    with pytest.raises(ValueError, match=r"Bits must be one of 2, 3, .*, 32; found 16\. Choose"):
        LayerConfig(8, 16)
    with pytest.raises(ValueError, match=r"needs at least one layer; found none\. Give"):
        SubnetConfig(())
    with pytest.raises(ValueError, match="needs at least one layer"):
        SubnetConfig.parse("0-64-8bit")


def test_costs_add_up_tensor_by_tensor():
    matrix = TensorSpec("matrix", (3, 5), bits=3, paper_bits=3, uses=100)
    assert matrix.cost(num_scales=3) == Cost(15, 15 * 3 / 8, 6 + 12, 150)  # 45 bits take 6 bytes
    bias = TensorSpec("bias", (3,), paper_bits=3)
    assert bias.cost(num_scales=3) == Cost(3, 9 / 8, 12, 0)
    head = TensorSpec("head", (2, 3), counted=False)
    assert head.cost(0) == Cost(0, 0, 24, 0)
    assert total(spec.cost(3) for spec in (matrix, bias, head)) == Cost(18, 54 / 8, 54, 150)
