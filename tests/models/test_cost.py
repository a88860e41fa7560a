"""What zeros save: weights of linear maps that are kept, as the papers count them and as files hold them."""

from dataclasses import replace
from math import prod

import pytest
import torch
from torch import Tensor, nn

from allinone.layers.axes import Axis
from allinone.models import (
    ConformerLayout,
    DecoderLayout,
    Layout,
    conformer_tiny,
    encoder_cost,
    hubert_base,
    wavlm_base,
    whisper_tiny,
)
from allinone.models.cost import layer_costs, width_bands
from allinone.models.encoder import EncoderLayer
from allinone.quantization import AbsMax, PerChannel
from allinone.sparsity import Blocks, NOfM, Pattern, Unstructured, index_encoding, kept_count, survival_levels
from allinone.subnet import Cost, LayerConfig, SearchSpace, SubnetConfig, TensorSpec, total
from allinone.tasks.cost import system_cost
from tests.laws.examples import make_layout

GRANULARITY = PerChannel()
LAYOUTS: dict[str, Layout] = {
    "conformer": conformer_tiny(),
    "relative": make_layout(positions="relative", num_heads=4, head_dim=6, separable_subsampling=False),
    "hubert": replace(hubert_base(), num_layers=2),
    "wavlm": replace(wavlm_base(), num_layers=2),
    "whisper": replace(whisper_tiny(), num_layers=2),
}
DECODER = DecoderLayout(num_layers=2, ffn_dim=48, num_heads=2)


def linear_weights(module: nn.Module) -> set[str]:
    return {f"{name}.weight" for name, part in module.named_modules() if isinstance(part, nn.Linear)}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_linear_weights_of_layers_are_prunable_and_nothing_else(layout):
    member = SubnetConfig.uniform(2, layout.ffn_dim)
    with torch.device("meta"):
        encoder = layout.build(member)
    prunable = {spec.name for spec in layout.tensors(member) if spec.prunable}
    assert prunable == {name for name in linear_weights(encoder) if name.startswith("layers.")}


def test_so_are_those_of_a_decoders_layers():
    decoder = DECODER.build(DECODER.whole, 32, 29)
    prunable = {spec.name for spec in DECODER.tensors(DECODER.whole, 32, 29) if spec.prunable}
    assert prunable == {f"decoder.{name}" for name in linear_weights(decoder) if name.startswith("layers.")}


def test_only_layers_with_zeros_have_a_threshold():
    layout = make_layout()
    member = SubnetConfig(
        (LayerConfig(24, 8, sparsity=0.5), LayerConfig(24, 8, sparsity=0.5, group=4), LayerConfig(24))
    )
    specs = [spec for spec in layout.tensors(member) if spec.prunable]
    assert {spec.name.split(".")[1]: spec.threshold for spec in specs} == {"0": 100, "1": 2, "2": 0}
    assert all(spec.threshold == 0 for spec in layout.tensors(member) if not spec.prunable)


def sparse_space(pattern: Pattern, *sparsities: float) -> SearchSpace:
    return SearchSpace(
        (2, 3), (8, 16, 24), (4, 8, 32), layerwise=True, heads=(1, 2), sparsities=sparsities, pattern=pattern
    )


def ends(axis: Axis | None, weight: Tensor, space: SearchSpace) -> tuple[int, ...]:
    """How many entries along the elastic dimension the members have, as masks are made."""
    if axis is None:
        return ()
    counts = space.widths if axis.of == "width" else space.heads
    return tuple(count * weight.shape[axis.dim] // counts[-1] for count in counts)


@pytest.mark.parametrize(
    ("pattern", "sparsities"),
    [(Unstructured(), (0.335, 0.995)), (Blocks(4, 2), (0.5, 0.7)), (NOfM(4), (0.25, 0.5)), (NOfM(8), (0.375,))],
    ids=str,
)
@pytest.mark.parametrize("positions", ["relative", "rotary"])
def test_as_many_weights_are_counted_as_survival_levels_keep(pattern, sparsities, positions):
    """An oracle: levels of random scores in the bands of the space, cut to each layer and compared to its threshold."""
    space, layout = sparse_space(pattern, *sparsities), make_layout(positions=positions)
    generator = torch.Generator().manual_seed(0)
    encoder = layout.build(space.largest)
    for layer in space._layer_choices():
        member = SubnetConfig((layer,) * 2)
        cost = encoder_cost(layout, member, GRANULARITY, space)
        specs = {spec.name: spec for spec in layout.tensors(member)}
        expected = {name: prod(spec.shape) for name, spec in specs.items()}
        for index in range(2):
            plain: EncoderLayer = encoder.layers[index]  # pyright: ignore[reportAssignmentType]
            for name in linear_weights(encoder.layers[index]):
                weight, axis = encoder.layers[index].get_parameter(name), plain.axes.get(name)
                dim = 0 if axis is None else axis.dim
                scores = torch.rand(weight.shape, generator=generator)
                levels = survival_levels(scores, pattern, dim, ends(axis, weight, space))
                full = f"layers.{index}.{name}"
                rows, columns = specs[full].shape
                expected[full] = int((levels[:rows, :columns] >= layer.threshold).sum())
        assert cost.bytes == pytest.approx(
            sum(counted(spec, pattern, expected[name]) * spec.paper_bits / 8 for name, spec in specs.items())
        )
        dense = encoder_cost(layout, SubnetConfig((replace(layer, sparsity=0.0, group=None),) * 2), GRANULARITY)
        assert (cost.parameters, cost.macs) == (dense.parameters, dense.macs)
        indices = sum(index_of(spec, pattern, expected[name]) for name, spec in specs.items() if spec.threshold)
        saved = sum(
            -(-prod(spec.shape) * spec.bits // 8) - -(-expected[name] * spec.bits // 8) for name, spec in specs.items()
        )
        assert cost.bytes_stored == dense.bytes_stored - saved + indices


def counted(spec: TensorSpec, pattern: Pattern, kept: int) -> int:
    """USM-Lite counts N:M in the bits of each weight, Omni-sparsity the weights that are kept."""
    return prod(spec.shape) if pattern.group else kept


def test_all_weights_of_a_layer_are_counted_with_the_zeros_and_scales_that_its_name_tells():
    layout = make_layout(front_end_bits=None)
    for name, bits in (("8bit", 8), ("2bit-g8", 2 + 32 / 8), ("4bit-2of4", 4 / 2 + 1), ("2bit-g4-1of4", 2 / 4 + 8 + 1)):
        specs = list(layout.tensors(SubnetConfig.parse(f"2-24-{name}")))
        assert {spec.paper_bits for spec in specs} == {bits}
    matrices = {spec.name for spec in specs if spec.inputs_per_scale == 4}
    assert matrices == {spec.name for spec in specs if spec.prunable}
    assert {spec.inputs_per_scale for spec in specs if spec.name not in matrices} == {None}


def index_of(spec: TensorSpec, pattern: Pattern, kept: int) -> int:
    size = prod(pattern.unit)
    return index_encoding(pattern, prod(spec.shape) // size, kept // size, spec.threshold)[1]


def test_bands_are_what_each_narrower_layer_adds():
    layout, space = make_layout(), sparse_space(Blocks(4, 2), 0.5)
    bands = width_bands(lambda layers: layout.tensors(SubnetConfig(layers)), LayerConfig(16, 8, 2), space)
    assert bands["layers.0.feed_forward_1.up.weight"] == (16 * 8, 16 * 8)
    assert bands["layers.0.attention.output.weight"] == (16 * 8, 16 * 8)
    assert bands["layers.0.convolution.project.weight"] == (16 * 16,)


@pytest.mark.parametrize(
    ("name", "per_cent"), [("32bit-2of4", 53.1), ("32bit-1of4", 28.1), ("4bit-2of4", 9.4), ("2bit-2of4", 6.25)]
)
def test_n_of_m_takes_what_usm_lite_prints(name, per_cent):
    """Weights of 32 bits are 100 per cent; one mask bit for each weight."""
    space = SearchSpace((1,), (24,), (32,), sparsities=(0.5,), pattern=NOfM(4))
    layer = SubnetConfig.parse(f"1-24-{name}").layers

    def matrices(layers):
        return [spec for spec in make_layout().tensors(SubnetConfig(layers)) if spec.prunable]

    full, some = (total(layer_costs(matrices, each, GRANULARITY, space)) for each in ((LayerConfig(24),), layer))
    assert 100 * some.bytes / full.bytes == pytest.approx(per_cent, abs=0.05)


def test_a_two_of_four_code_stores_int4_in_less_than_its_mask():
    """USM-Lite counts 9.4 % of 32 bits; 3 bits for a group of four make 2 * 4 + 3 bits of 128, which are 8.6 %."""
    spec = TensorSpec("matrix", (64, 64), 4, SubnetConfig.parse("1-64-4bit-2of4").layers[0].paper_bits, threshold=2)
    kept, index = kept_count(NOfM(4), (64 * 64,), 2), index_encoding(NOfM(4), 1024, 0, 2)[1]
    cost = spec.cost(num_scales=0, kept=kept, index_bytes=index, paper_kept=64 * 64)
    assert (cost.bytes, cost.bytes_stored) == (64 * 64 * 4 * (8 + 4) / 128, 64 * 64 * 4 * (8 + 3) / 128)


def test_a_decoders_zeros_are_stored_but_not_counted_as_the_papers_count():
    layout, sparse = conformer_tiny(), SearchSpace((2,), (48,), (8,), sparsities=(0.5,), pattern=Blocks(4, 1))
    space = SearchSpace((2, 3), (32, 64), (8,), decoder=sparse)
    dense, half = (SubnetConfig.parse(f"2-32-8bit_2-48-8bit{zeros}") for zeros in ("", "-s50"))
    whole, some = (system_cost(layout, DECODER, member, AbsMax(), 29, space=space) for member in (dense, half))
    assert (some.parameters, some.bytes, some.macs) == (whole.parameters, whole.bytes, whole.macs)
    weights = sum(prod(spec.shape) for spec in DECODER.tensors(dense.decoder, 32, 29) if spec.prunable)
    assert whole.bytes_stored - some.bytes_stored == weights / 2 - weights / 4 / 8  # a mask bit for each block of four


def test_what_is_counted_without_zeros_needs_no_space():
    layout, member = ConformerLayout(**vars(conformer_tiny())), SubnetConfig.uniform(2, 32, 8)
    space = SearchSpace((2,), (32, 64), (8,), sparsities=(0.5,), pattern=Blocks())
    assert encoder_cost(layout, member, GRANULARITY) == encoder_cost(layout, member, GRANULARITY, space) != Cost()
