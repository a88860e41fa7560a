"""Laws of the index of a sparse matrix."""

from math import comb, log2

import pytest

from allinone.sparsity import Blocks, NOfM, Unstructured, index_bytes, index_encoding


def test_a_mask_has_a_bit_for_each_block():
    assert index_encoding(Unstructured(), 1001, 500, 100) == ("mask", 126)
    assert index_encoding(Blocks(8, 1), 1001, 500, 100) == ("mask", 126)


def test_few_kept_blocks_are_listed_by_number():
    assert index_encoding(Unstructured(), 1024, 100, 181) == ("index", 1000 // 8)
    assert index_encoding(Unstructured(), 1025, 93, 182) == ("index", -(-93 * 11 // 8))


@pytest.mark.parametrize("size", range(2, 17))
def test_a_code_tells_any_choice_of_n_of_m_in_the_fewest_whole_bits(size):
    for dropped in range(1, size):
        kind, count = index_encoding(NOfM(size), 8, 0, dropped)
        assert count == min(size, -(-log2(comb(size, dropped)) // 1))
        assert kind == ("mask" if count == size else "code")


def test_usm_lites_two_of_four_weights_take_three_bits():
    assert index_encoding(NOfM(4), 1000, 0, 2) == ("code", 375)


def test_a_mask_is_preferred_to_what_is_as_short():
    assert index_encoding(Unstructured(), 16, 4, 150) == ("mask", 2)
    assert index_encoding(Unstructured(), 16, 3, 163) == ("index", 2)
    assert index_encoding(NOfM(2), 5, 0, 1) == ("code", 1)


def test_the_index_of_a_matrix_is_that_of_its_blocks():
    assert index_bytes(Blocks(8, 1), (64, 10), 8 * 40, 100) == index_encoding(Blocks(8, 1), 80, 40, 100)[1] == 10
    assert index_bytes(NOfM(4), (10, 16), 80, 2) == 15
