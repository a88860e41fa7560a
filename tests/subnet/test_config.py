"""Sub-networks are values that check and name themselves."""

import re

import pytest

from allinone.subnet import Cost, LayerConfig, SubnetConfig, TensorSpec, total


def test_names_are_the_papers_and_runs_of_layers_are_joined():
    assert SubnetConfig.uniform(12, 2048, 8).name == "12-2048-8bit"
    layers = (LayerConfig(64, 8), LayerConfig(64, 8), LayerConfig(32, 8), LayerConfig(64, 8))
    assert str(SubnetConfig(layers)) == "2-64-8bit+1-32-8bit+1-64-8bit"


def test_a_number_of_heads_ends_the_name_of_its_layers():
    assert SubnetConfig.uniform(12, 3072, 8, 8).name == "12-3072-8bit-h8"
    layers = (LayerConfig(512, 8, 4),) * 4 + (LayerConfig(256, 4, 2),) * 2
    assert SubnetConfig(layers).name == "4-512-8bit-h4+2-256-4bit-h2"
    assert SubnetConfig.parse("4-512-8bit-h4+2-256-4bit-h2") == SubnetConfig(layers)
    both = SubnetConfig((LayerConfig(1536, 8, 6),) * 4, (LayerConfig(768, 4, 4),) * 2)
    assert both.name == "4-1536-8bit-h6_2-768-4bit-h4"
    assert SubnetConfig.parse(both.name) == both
    assert SubnetConfig.parse("1-64-8bit+1-64-8bit-h2").layers == (LayerConfig(64, 8), LayerConfig(64, 8, 2))


def test_zeros_end_the_name_of_their_layers():
    assert SubnetConfig.uniform(12, 2048, 8, sparsity=0.5).name == "12-2048-8bit-s50"
    assert SubnetConfig.uniform(4, 512, 4, 2, 0.625).name == "4-512-4bit-h2-s62.5"
    assert SubnetConfig.uniform(12, 2048, 4, sparsity=0.5, group=4).name == "12-2048-4bit-2of4"
    both = SubnetConfig((LayerConfig(64, 8, 4, 0.005), LayerConfig(64, 8, 4)), (LayerConfig(32, 4, sparsity=0.995),))
    assert both.name == "1-64-8bit-h4-s0.5+1-64-8bit-h4_1-32-4bit-s99.5"
    assert SubnetConfig.parse(both.name) == both


@pytest.mark.parametrize("bits", [4, 32])
@pytest.mark.parametrize("heads", [None, 2])
def test_every_sparsity_is_named_and_read_back(bits, heads):
    layers = [LayerConfig(64, bits, heads, level / 200) for level in range(200)]
    layers += [LayerConfig(64, bits, heads, k / size, size) for size in range(2, 17) for k in range(1, size)]
    names = {SubnetConfig((layer,)).name for layer in layers}
    assert len(names) == len(layers)
    for layer in layers:
        assert SubnetConfig.parse(SubnetConfig((layer,)).name).layers == (layer,)


def test_equal_members_have_one_name_and_are_one_key():
    split = SubnetConfig.parse("1-64-8bit+1-64-8bit")
    assert split == SubnetConfig.uniform(2, 64, 8)
    assert split.name == "2-64-8bit"
    assert len({split, SubnetConfig.uniform(2, 64, 8)}) == 1


def test_a_decoder_part_follows_after_an_underscore():
    encoder, decoder = SubnetConfig.uniform(6, 512, 8), (LayerConfig(256, 4), LayerConfig(128, 4))
    assert SubnetConfig(encoder.layers, decoder[:1] * 2).name == "6-512-8bit_2-256-4bit"
    assert SubnetConfig(encoder.layers, decoder).name == "6-512-8bit_1-256-4bit+1-128-4bit"
    assert SubnetConfig.parse("6-512-8bit_1-256-4bit+1-128-4bit") == SubnetConfig(encoder.layers, decoder)


def test_depth_is_the_encoders_which_goes_without_decoder_part():
    member = SubnetConfig.parse("1-64-8bit+2-32-8bit_2-256-4bit")
    assert member.depth == 3
    assert member.encoder.name == "1-64-8bit+2-32-8bit"
    assert member != member.encoder == member.encoder.encoder


@pytest.mark.parametrize(
    ("name", "uniform"),
    [
        ("2-64-8bit", True),
        ("2-64-8bit_2-32-4bit", True),
        ("1-64-8bit+1-64-4bit_2-32-4bit", False),
        ("2-64-8bit_1-32-4bit+1-16-4bit", False),
    ],
)
def test_a_member_is_uniform_if_each_of_its_parts_is(name, uniform):
    assert SubnetConfig.parse(name).is_uniform == uniform


def test_another_precision_keeps_all_else_but_full_precision_has_no_scale_groups():
    member = SubnetConfig.parse("2-12-8bit-g4-h2-s50_1-24-4bit")
    assert member.with_bits(2).name == "2-12-2bit-g4-h2-s50_1-24-2bit"
    assert member.with_bits(32).name == "2-12-32bit-h2-s50_1-24-32bit"
    assert member.with_bits(8).with_bits(8) == member.with_bits(8)
    with pytest.raises(ValueError, match="Bits must be one of"):
        member.with_bits(1)


def test_names_are_safe_in_paths():
    for name in ("1-64-8bit-h2+2-32-32bit_1-256-4bit+1-128-4bit", "1-64-8bit-h2-s62.5+2-32-32bit-s5_1-256-4bit-2of4"):
        assert re.fullmatch(r"[a-z0-9_+.-]+", SubnetConfig.parse(name).name)


def test_layers_become_a_tuple():
    member = SubnetConfig([LayerConfig(8)], [LayerConfig(4)])  # pyright: ignore[reportArgumentType]
    assert (member.layers, member.decoder) == ((LayerConfig(8, 32),), (LayerConfig(4, 32),))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "12-2048",
        "12-2048-8",
        "a-b-cbit",
        "12-2048-8bit+",
        "12-2048-8bit 1-1-8bit",
        "12-2048-8bit_",
        "_6-1024-4bit",
        "12-2048-8bit_6-1024-4bit_6-1024-4bit",
        "12-2048-8bit-h",
        "12-2048-8bit-4",
        "12-2048-8bit-h4-h4",
        "12-2048-8bith4",
        "12-2048-h4",
        "12-2048-8bit-s",
        "12-2048-8bit-s.5",
        "12-2048-8bit-s50%",
        "12-2048-8bit-s50-h4",
        "12-2048-8bit-s50-2of4",
        "12-2048-8bit-2of",
        "12-2048-s50",
    ],
)
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
    with pytest.raises(
        ValueError, match=r"needs at least 1 attention head; found 0\. Give .*, or None for all of them"
    ):
        LayerConfig(8, 8, 0)
    with pytest.raises(ValueError, match=r"needs at least one layer; found none\. Give"):
        SubnetConfig(())
    with pytest.raises(ValueError, match="needs at least one layer"):
        SubnetConfig.parse("0-64-8bit")
    with pytest.raises(ValueError, match=r"decoder part .* at least one layer; found '2-64-8bit_0-.*'\. Leave it out"):
        SubnetConfig.parse("2-64-8bit_0-64-8bit")


def test_costs_add_up_tensor_by_tensor():
    matrix = TensorSpec("matrix", (3, 5), bits=3, paper_bits=3, uses=100)
    assert matrix.cost(num_scales=3) == Cost(15, 15 * 3 / 8, 6 + 12, 150)  # 45 bits take 6 bytes
    bias = TensorSpec("bias", (3,), paper_bits=3)
    assert bias.cost(num_scales=3) == Cost(3, 9 / 8, 12, 0)
    head = TensorSpec("head", (2, 3), counted=False)
    assert head.cost(0) == Cost(0, 0, 24, 0)
    assert total(spec.cost(3) for spec in (matrix, bias, head)) == Cost(18, 54 / 8, 54, 150)
