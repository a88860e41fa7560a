"""What the tensors of a member cost, zeros and their index included, counted without building it."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, product
from math import prod

from allinone.models.inventory import Layout
from allinone.quantization import Granularity, PerGroup
from allinone.sparsity import Pattern, index_bytes, kept_count
from allinone.subnet import FULL_PRECISION, Cost, LayerConfig, SearchSpace, SubnetConfig, TensorSpec, total

_LAYER = re.compile(r"\blayers\.(\d+)\.")

Listing = Callable[[tuple[LayerConfig, ...]], Iterable[TensorSpec]]  # the tensors of a network of these layers
Bands = dict[str, tuple[int, ...]]


def encoder_cost(
    layout: Layout, subnet: SubnetConfig, granularity: Granularity, space: SearchSpace | None = None
) -> Cost:
    """What a member's encoder costs.

    Args:
        layout: the family of encoders.
        subnet: the member.
        granularity: how many scales a weight has that is not in groups of its member's.
        space: the search space, by whose pattern and widths weights are dropped; members without zeros need none.
    """
    costs = layer_costs(lambda layers: layout.tensors(SubnetConfig(layers)), subnet.layers, granularity, space)
    return total(costs) + layout.products(subnet)


def layer_costs(
    listing: Listing, layers: tuple[LayerConfig, ...], granularity: Granularity, space: SearchSpace | None
) -> Iterator[Cost]:
    """What each tensor of a network costs.

    Args:
        listing: its tensors, of these layers or others; those of a layer have ``layers.NUMBER.`` in their names.
        layers: of a member.
        granularity: how many scales a weight has that is not in groups of its member's.
        space: that of such layers.
    """
    bands: dict[LayerConfig, Bands] = {}
    for spec in listing(layers):
        if not spec.threshold:
            yield tensor_cost(spec, granularity)
            continue
        assert space is not None, "a member with zeros is one of a space"
        match = _LAYER.search(spec.name)
        layer = layers[int(match[1])] if match else layers[0]  # what is outside all layers is as large in all members
        if layer not in bands:
            bands[layer] = width_bands(listing, layer, space)
        yield tensor_cost(spec, granularity, space.pattern, bands[layer][_LAYER.sub("layers.0.", spec.name)])


def tensor_cost(
    spec: TensorSpec, granularity: Granularity, pattern: Pattern | None = None, bands: Sequence[int] = ()
) -> Cost:
    """What one tensor costs, with the scales that its granularity asks for if it is stored with few bits.

    Args:
        spec: the tensor.
        granularity: how many scales a weight has that is not in groups of its member's.
        pattern: how zeros lie, if there are any.
        bands: how many of its weights are in each width band.
    """
    if spec.inputs_per_scale is not None:
        granularity = PerGroup(spec.inputs_per_scale)
    num_scales = prod(granularity.scale_shape(spec.shape)) if spec.bits < FULL_PRECISION else 0
    if not spec.threshold:
        return spec.cost(num_scales)
    assert pattern is not None, "zeros are those of a pattern"
    kept = kept_count(pattern, bands, spec.threshold)
    index = index_bytes(pattern, spec.shape, kept, spec.threshold)
    return spec.cost(num_scales, kept, index, None if pattern.group is None else prod(spec.shape))


def width_bands(listing: Listing, layer: LayerConfig, space: SearchSpace) -> Bands:
    """For each prunable tensor, named as of a first layer, how many weights each narrower layer of a space adds.

    Args:
        listing: as in :func:`layer_costs`.
        layer: a layer of a member, which counts as a width of the space.
        space: whose widths and heads those of narrower layers are.
    """
    widths = {layer.width, *(width for width in space.widths if width <= layer.width)}
    heads = {layer.heads}
    if layer.heads is not None:
        heads |= {count for count in space.heads if count <= layer.heads}
    sizes: dict[str, set[int]] = {}
    for width, count in product(widths, heads):
        for spec in listing((replace(layer, width=width, heads=count),)):
            if spec.prunable:
                sizes.setdefault(spec.name, {0}).add(prod(spec.shape))
    return {name: tuple(end - start for start, end in pairwise(sorted(each))) for name, each in sizes.items()}
