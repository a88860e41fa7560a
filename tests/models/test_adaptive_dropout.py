"""Adaptive dropout: factors follow from what a member keeps of the largest, layer by layer."""

import pytest

from allinone.models import AdaptiveDropout
from allinone.subnet import SearchSpace, SubnetConfig

SPACE = SearchSpace(depths=(6, 12), widths=(512, 1024, 2048), bits=(4, 8), layerwise=True)


def factors(rule: AdaptiveDropout, name: str) -> list[float]:
    return list(rule.factors(SubnetConfig.parse(name).layers, SPACE.largest.layers))


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        (AdaptiveDropout(), "12-2048-4bit", [1.0] * 12),
        (AdaptiveDropout(), "12-1024-8bit", [0.5] * 12),
        (AdaptiveDropout(), "6-2048-8bit", [0.5] * 6),
        (AdaptiveDropout(), "6-1024-4bit", [0.25] * 6),
        (AdaptiveDropout(), "2-2048-8bit+4-512-8bit", [0.5] * 2 + [0.125] * 4),
        (AdaptiveDropout(width_power=0.5), "12-512-8bit", [0.5] * 12),
        (AdaptiveDropout(width_power=0.0), "6-512-8bit", [0.5] * 6),
        (AdaptiveDropout(depth_power=0.0), "6-512-8bit", [0.25] * 6),
        (AdaptiveDropout(bits_power=2.0), "12-2048-4bit", [0.25] * 12),
        (AdaptiveDropout(), "12-2048-8bit-s80", [1.0] * 12),
        (AdaptiveDropout(0, 0, 0, 1), "6-2048-8bit-s50+6-1024-4bit-1of4", [0.5] * 6 + [0.25] * 6),
        (AdaptiveDropout(sparsity_power=1), "6-1024-8bit-s80", [0.5 * 0.5 * 0.2] * 6),
    ],
    ids=str,
)
def test_a_factor_is_the_product_of_the_shares_of_width_depth_bits_and_weights(rule, name, expected):
    assert factors(rule, name) == pytest.approx(expected)


@pytest.mark.parametrize("rule", [AdaptiveDropout(), AdaptiveDropout(0.3, 2.0, 0.7, 1.0)], ids=str)
def test_the_largest_has_a_factor_of_exactly_1_and_no_member_a_larger_one(rule):
    assert factors(rule, SPACE.largest.name) == [1.0] * 12
    for member in [*SPACE.uniform_members(), SubnetConfig.parse("6-512-4bit-s99.5")]:
        assert all(0 < factor <= 1 for factor in factors(rule, member.name))


def test_more_dropout_for_smaller_members_is_refused():
    for name in ("bits_power", "sparsity_power"):
        found = rf"found AdaptiveDropout\(.*{name}=-1.*\)\. Give"
        with pytest.raises(ValueError, match=rf"powers of 0 or more, .*; {found}"):
            AdaptiveDropout(**{name: -1})
