"""Laws of survival levels: nested masks, exact counts in every prefix, ties, blocks, groups."""

import pytest
import torch
from torch import Tensor

from allinone.sparsity import LEVELS, Blocks, NOfM, Pattern, Unstructured, kept_count, survival_levels

RANKED = [Unstructured(), Blocks(8, 1), Blocks(4, 2)]
GROUPED = [NOfM(2), NOfM(4), NOfM(8)]
ENDS = {0: (8, 24), 1: (8, 16)}  # of the widths of the matrix below, along either dimension
SHAPE = (40, 32)


def random_scores(seed: int = 0) -> Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed))


def thresholds(pattern: Pattern) -> range:
    return range(LEVELS if pattern.group is None else pattern.group)


def prefixes(dim: int, levels: Tensor) -> list[tuple[Tensor, list[int]]]:
    """The levels of each member, from the narrowest to the widest, and the weights of its bands."""
    ends = [*ENDS[dim], SHAPE[dim]]
    sizes = [(end - start) * SHAPE[1 - dim] for start, end in zip([0, *ends], ends, strict=False)]
    return [(levels.narrow(dim, 0, end), sizes[: place + 1]) for place, end in enumerate(ends)]


@pytest.mark.parametrize("pattern", RANKED + GROUPED, ids=str)
@pytest.mark.parametrize("dim", [0, 1])
def test_every_prefix_keeps_exactly_the_count_of_its_bands_at_every_sparsity(pattern, dim):
    for levels, bands in prefixes(dim, survival_levels(random_scores(), pattern, dim, ENDS[dim])):
        for threshold in thresholds(pattern):
            assert int((levels >= threshold).sum()) == kept_count(pattern, bands, threshold)


@pytest.mark.parametrize("pattern", RANKED + GROUPED, ids=str)
def test_what_a_higher_sparsity_keeps_a_lower_one_keeps(pattern):
    levels = survival_levels(random_scores(), pattern, 0, ENDS[0])
    assert levels.dtype == torch.uint8
    assert levels.shape == SHAPE
    assert levels.max() < len(thresholds(pattern))  # some weight survives the highest
    assert (levels >= 0).all()  # and the dense member has all
    for lower, higher in zip(thresholds(pattern), thresholds(pattern)[1:], strict=False):
        assert ((levels >= lower) | ~(levels >= higher)).all()


def test_a_whole_matrix_keeps_its_largest_scores():
    scores = random_scores()
    levels = survival_levels(scores, Unstructured())
    for threshold in (1, 50, 101, 199):
        kept = levels >= threshold
        assert scores[kept].min() > scores[~kept].max()


def test_bands_are_ranked_each_by_itself():
    scores = random_scores()
    scores[:8] /= 1000  # all less than those of later bands
    levels = survival_levels(scores, Unstructured(), 0, ENDS[0])
    for start, end in ((0, 8), (8, 24), (24, 40)):
        assert torch.equal(levels[start:end], survival_levels(scores[start:end], Unstructured()))
    assert int((levels[:8] >= 100).sum()) == 128


@pytest.mark.parametrize("pattern", [Blocks(8, 1), Blocks(4, 2)], ids=str)
def test_blocks_survive_as_one_by_the_sum_of_their_scores(pattern):
    scores = random_scores()
    levels = survival_levels(scores, pattern)
    rows, columns = pattern.unit
    blocks = levels[::rows, ::columns]
    assert torch.equal(blocks.repeat_interleave(rows, 0).repeat_interleave(columns, 1), levels)
    assert torch.equal(blocks, survival_levels(pattern.pooled(scores), Unstructured()))


@pytest.mark.parametrize("pattern", GROUPED, ids=str)
def test_levels_of_n_of_m_are_the_ranks_in_each_group(pattern):
    groups = survival_levels(random_scores(), pattern).unflatten(1, (-1, pattern.group))
    assert torch.equal(groups.sort(-1).values, torch.arange(pattern.group).expand_as(groups).to(torch.uint8))
    scores = random_scores().unflatten(1, (-1, pattern.group))
    in_order = scores.gather(-1, groups.long().argsort(-1))
    assert (in_order.diff(dim=-1) > 0).all()


@pytest.mark.parametrize("pattern", RANKED + GROUPED, ids=str)
def test_of_equal_scores_the_later_survive_in_exact_numbers(pattern):
    levels = survival_levels(torch.zeros(SHAPE), pattern)
    assert int((levels >= 1).sum()) == kept_count(pattern, (SHAPE[0] * SHAPE[1],), 1)
    rows, columns = pattern.unit if pattern.group is None else (1, 1)
    blocks = levels[::rows, ::columns]
    in_order = blocks.flatten() if pattern.group is None else blocks.reshape(-1, pattern.group)
    assert (in_order.int().diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("pattern", RANKED + GROUPED, ids=str)
def test_levels_are_a_function_of_the_order_of_scores_alone(pattern):
    scores = random_scores()
    levels = survival_levels(scores, pattern, 0, ENDS[0])
    assert torch.equal(levels, survival_levels(scores.clone(), pattern, 0, ENDS[0]))
    assert torch.equal(levels, survival_levels(scores.t().contiguous().t(), pattern, 0, ENDS[0]))
    assert torch.equal(levels, survival_levels(scores, pattern, 0, (24, 8, 8, 40)))  # ends in any order
    assert torch.equal(levels, survival_levels(4 * scores, pattern, 0, ENDS[0]))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_scores_that_are_not_finite_are_refused(value):
    scores = random_scores()
    scores[3, 5] = value
    with pytest.raises(
        ValueError, match=r"Scores of weights must be finite; found NaN or infinity\. This training has"
    ):
        survival_levels(scores, Unstructured())


@pytest.mark.parametrize(
    ("pattern", "dim", "end", "found"),
    [
        (Blocks(8, 1), 0, 12, "8x1 blocks do not divide 12 outputs and 32 inputs"),
        (NOfM(8), 1, 12, "groups of 8 inputs do not divide 40 outputs and 12 inputs"),
    ],
)
def test_bands_that_a_pattern_does_not_divide_are_refused(pattern, dim, end, found):
    with pytest.raises(ValueError, match=rf"must divide every width band of a matrix; found that {found}\. Choose"):
        survival_levels(random_scores(), pattern, dim, (end,))
