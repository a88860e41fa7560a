"""Laws of patterns: what fits a matrix, what is scored as one, how many weights a sparsity keeps."""

import pytest
import torch

from allinone.sparsity import LEVELS, Blocks, NOfM, Unstructured, kept_count, misfit

PATTERNS = [Unstructured(), Blocks(8, 1), Blocks(4, 2), NOfM(2), NOfM(4), NOfM(16)]


def test_a_pattern_knows_the_blocks_that_have_to_divide_a_matrix():
    assert [pattern.unit for pattern in PATTERNS] == [(1, 1), (8, 1), (4, 2), (1, 2), (1, 4), (1, 16)]
    assert [pattern.group for pattern in PATTERNS] == [None, None, None, 2, 4, 16]


@pytest.mark.parametrize(
    ("pattern", "shape", "found"),
    [
        (Blocks(8, 1), (12, 3), "8x1 blocks do not divide 12 outputs and 3 inputs"),
        (Blocks(4, 2), (12, 3), "4x2 blocks do not divide 12 outputs and 3 inputs"),
        (NOfM(4), (12, 6), "groups of 4 inputs do not divide 12 outputs and 6 inputs"),
        (Unstructured(), (7, 5), None),
        (Blocks(8, 1), (16, 3), None),
        (Blocks(4, 2), (12, 4), None),
        (NOfM(4), (3, 8), None),
    ],
)
def test_a_pattern_fits_what_its_blocks_divide(pattern, shape, found):
    assert misfit(pattern, shape) == found


def test_a_block_is_scored_by_the_sum_of_its_weights():
    scores = torch.arange(48.0).view(8, 6)
    assert Unstructured().pooled(scores) is scores
    assert NOfM(3).pooled(scores) is scores
    pooled = Blocks(4, 2).pooled(scores)
    assert pooled.shape == (2, 3)
    for row in range(2):
        for column in range(3):
            block = scores[4 * row : 4 * row + 4, 2 * column : 2 * column + 2]
            assert pooled[row, column] == block.sum()


@pytest.mark.parametrize("pattern", [Unstructured(), Blocks(8, 1), Blocks(4, 2)])
@pytest.mark.parametrize("bands", [(1600,), (24, 40), (8, 16, 1000)])
def test_at_most_as_many_weights_are_kept_as_a_sparsity_leaves_and_less_than_a_block_of_each_band_fewer(pattern, bands):
    block = pattern.unit[0] * pattern.unit[1]
    for threshold in range(LEVELS):
        allowed = sum(bands) * (LEVELS - threshold)  # in two hundredths of a weight
        kept = kept_count(pattern, bands, threshold)
        assert kept % block == 0
        assert allowed - len(bands) * block * LEVELS < kept * LEVELS <= allowed


@pytest.mark.parametrize("size", range(2, 17))
def test_n_of_m_keeps_exactly_its_share_of_all_bands(size):
    for threshold in range(size):
        assert kept_count(NOfM(size), (size, 6 * size), threshold) == 7 * (size - threshold)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_a_dense_matrix_keeps_all(pattern):
    assert kept_count(pattern, (16, 160), 0) == 176


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (8, -1), (8.0, 1), ("8", 1), (True, 1), (8, None)])
def test_blocks_of_no_whole_size_are_refused(rows, columns):
    with pytest.raises(
        ValueError, match=r"Blocks must have whole numbers of rows and columns, .*; found .*\. Give such"
    ):
        Blocks(rows, columns)


@pytest.mark.parametrize("size", [1, 17, 4.0, "4", None, True])
def test_groups_of_other_than_2_to_16_weights_are_refused(size):
    with pytest.raises(ValueError, match=r"N:M requires groups of a whole number of 2 to 16 .*; found .*\. Give such"):
        NOfM(size)
