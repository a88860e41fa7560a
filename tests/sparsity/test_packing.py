"""Laws of the packed index: exact round trips in the stated bytes and bit order; damage is refused."""

import itertools
from math import comb

import pytest
import torch
from torch import Tensor

from allinone.sparsity import (
    Blocks,
    NOfM,
    Pattern,
    Unstructured,
    index_bytes,
    pack_index,
    survival_levels,
    unpack_index,
)
from allinone.sparsity.packing import pack_bits, unpack_bits

PATTERNS = [Unstructured(), Blocks(8, 1), Blocks(4, 2), Blocks(24, 16), *(NOfM(size) for size in (2, 3, 4, 8, 16))]
SHAPE = (24, 48)


def random_mask(pattern: Pattern, threshold: int, shape: tuple[int, int] = SHAPE) -> Tensor:
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(threshold))
    return survival_levels(scores, pattern) >= threshold


def blocks_of(mask: Tensor, pattern: Pattern) -> int:
    return int(mask.sum()) // (pattern.unit[0] * pattern.unit[1])


def cases() -> list[tuple[Pattern, int]]:
    few = (0, 1, 60, 100, 150, 187, 199)
    return [
        (pattern, threshold) for pattern in PATTERNS for threshold in (range(pattern.group) if pattern.group else few)
    ]


@pytest.mark.parametrize("bits", range(33))
@pytest.mark.parametrize("count", [0, 1, 7, 8, 29])
def test_numbers_of_any_bits_survive_as_one_long_little_endian_number(bits, count):
    numbers = torch.randint(2**bits, (count,), generator=torch.Generator().manual_seed(bits))
    numbers[:1] = 2**bits - 1
    packed = pack_bits(numbers, bits)
    long = sum(number << (place * bits) for place, number in enumerate(numbers.tolist()))
    assert bytes(packed.tolist()) == long.to_bytes(-(-count * bits // 8), "little")
    assert torch.equal(unpack_bits(packed, bits, count), numbers)


@pytest.mark.parametrize(("pattern", "threshold"), cases(), ids=str)
def test_unpacking_inverts_packing_in_exactly_the_announced_bytes(pattern, threshold):
    mask = random_mask(pattern, threshold)
    kind, packed = pack_index(mask, pattern, threshold)
    assert packed.dtype == torch.uint8
    assert packed.numel() == index_bytes(pattern, SHAPE, int(mask.sum()), threshold)
    assert torch.equal(unpack_index(packed, kind, pattern, SHAPE, threshold, blocks_of(mask, pattern)), mask)


def test_every_kind_of_index_is_among_these_cases():
    assert {pack_index(random_mask(*case), *case)[0] for case in cases()} == {"mask", "index", "code"}


@pytest.mark.parametrize("pattern", [Unstructured(), Blocks(8, 1), NOfM(4)], ids=str)
def test_strided_masks_pack_like_their_contiguous_copies(pattern):
    threshold = 2 if pattern.group else 100
    mask = random_mask(pattern, threshold)
    (kind, packed), (_, of_strided) = (pack_index(each, pattern, threshold) for each in (mask, mask.t().clone().t()))
    assert torch.equal(packed, of_strided)
    assert kind == pack_index(mask, pattern, threshold)[0]


def test_a_mask_has_a_bit_for_each_block_row_by_row():
    mask = torch.tensor([[1, 0, 0, 1, 1], [0, 0, 1, 0, 1]]).bool()
    assert pack_index(mask, Unstructured(), 100)[1].tolist() == [0b10011001, 0b10]
    of_blocks = mask.repeat_interleave(8, 0)
    assert pack_index(of_blocks, Blocks(8, 1), 100)[1].tolist() == [0b10011001, 0b10]


def test_an_index_lists_the_kept_blocks_row_by_row():
    mask = torch.zeros(4, 16, dtype=torch.bool)
    mask[0, 3] = mask[3, 1] = True
    kind, packed = pack_index(mask, Unstructured(), 194)
    assert kind == "index"
    assert packed.tolist() == [3 | (49 & 0b11) << 6, 49 >> 2]  # six bits each


@pytest.mark.parametrize(("size", "kept"), [(2, 1), (4, 2), (4, 1), (8, 3), (16, 8)])
def test_a_code_is_the_rank_of_a_choice_in_the_combinatorial_number_system(size, kept):
    """Of kept places c_1 < c_2 < ... the sum of C(c_i, i)."""
    places = list(itertools.combinations(range(size), kept))
    mask = torch.zeros(len(places), size, dtype=torch.bool)
    for row, choice in enumerate(places):
        mask[row, list(choice)] = True
    ranks = [sum(comb(place, number) for number, place in enumerate(choice, 1)) for choice in places]
    assert sorted(ranks) == list(range(comb(size, kept)))
    bits = (comb(size, kept) - 1).bit_length()
    _, packed = pack_index(mask, NOfM(size), size - kept)
    assert unpack_bits(packed, bits, len(places)).tolist() == ranks


@pytest.mark.parametrize(
    ("mask", "pattern", "threshold"),
    [
        (torch.eye(8).bool(), Blocks(8, 1), 175),
        (torch.eye(8).bool(), NOfM(4), 3),
        (torch.ones(8, 8).bool(), NOfM(4), 3),
    ],
)
def test_a_mask_of_another_pattern_is_refused(mask, pattern, threshold):
    with pytest.raises(AssertionError, match="a mask must keep"):
        pack_index(mask, pattern, threshold)


# Damage.


def packed_example(kind: str) -> tuple[Tensor, Pattern, int, int]:
    """Bytes, pattern, threshold, kept blocks."""
    pattern, threshold = {"mask": (Unstructured(), 100), "index": (Unstructured(), 199), "code": (NOfM(3), 2)}[kind]
    mask = random_mask(pattern, threshold)
    found, packed = pack_index(mask, pattern, threshold)
    assert found == kind
    return packed, pattern, threshold, blocks_of(mask, pattern)


@pytest.mark.parametrize("kind", ["mask", "index", "code"])
def test_other_bytes_than_an_index_has_are_refused(kind):
    packed, pattern, threshold, kept_blocks = packed_example(kind)
    for damaged in (packed[:-1], torch.cat([packed, packed]), packed[None], packed.to(torch.int8)):
        with pytest.raises(
            ValueError, match=r"The index of this matrix must be uint8 of \d+ bytes; found .*\. The file"
        ):
            unpack_index(damaged, kind, pattern, SHAPE, threshold, kept_blocks)


@pytest.mark.parametrize(("kind", "other"), [("mask", "index"), ("index", "mask"), ("code", "mask"), ("index", "list")])
def test_an_index_of_another_kind_than_follows_from_its_size_is_refused(kind, other):
    packed, pattern, threshold, kept_blocks = packed_example(kind)
    with pytest.raises(ValueError, match=rf"must be written as '{kind}'; found '{other}'\. The file is damaged"):
        unpack_index(packed, other, pattern, SHAPE, threshold, kept_blocks)


def test_a_mask_of_another_count_is_refused():
    packed, pattern, threshold, kept_blocks = packed_example("mask")
    assert kept_blocks == 576
    packed[0] ^= 1
    with pytest.raises(ValueError, match=r"must keep 576 blocks; found 57[57]\. The file is damaged"):
        unpack_index(packed, "mask", pattern, SHAPE, threshold, kept_blocks)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([0, 1, 2, 3, 1152], r"numbers of an index must be less than 1152; found 1152\. The file is damaged"),
        ([0, 1, 3, 2, 4], r"numbers of kept blocks must ascend; found some that do not\. The file is damaged"),
        ([0, 1, 2, 2, 4], r"numbers of kept blocks must ascend; found some that do not\. The file is damaged"),
    ],
)
def test_a_list_that_is_none_of_ascending_blocks_is_refused(numbers, message):
    packed, pattern, threshold, kept_blocks = packed_example("index")
    assert kept_blocks == len(numbers)
    damaged = pack_bits(torch.tensor(numbers), 11)
    assert damaged.shape == packed.shape
    with pytest.raises(ValueError, match=message):
        unpack_index(damaged, "index", pattern, SHAPE, threshold, kept_blocks)


def test_a_code_of_no_choice_is_refused():
    packed, pattern, threshold, kept_blocks = packed_example("code")
    packed[5] |= 3  # of three choices, in two bits
    with pytest.raises(ValueError, match=r"numbers of an index must be less than 3; found 3\. The file is damaged"):
        unpack_index(packed, "code", pattern, SHAPE, threshold, kept_blocks)


@pytest.mark.parametrize("bits", [-1, 33, 64])
def test_bits_outside_zero_to_32_are_refused(bits):
    message = rf"Packing needs 0 to 32 bits; found {bits}\. Split the numbers"
    with pytest.raises(ValueError, match=message):
        pack_bits(torch.zeros(4, dtype=torch.int64), bits)
    with pytest.raises(ValueError, match=message):
        unpack_bits(torch.zeros(4, dtype=torch.uint8), bits, 1)


@pytest.mark.parametrize(("numbers", "bits"), [([0, 4], 2), ([-1, 0], 8), ([1], 0), ([2**32], 32)])
def test_numbers_of_more_bits_are_refused(numbers, bits):
    with pytest.raises(ValueError, match=rf"Numbers of {bits} bits must lie in 0\..*; found .*\. Pack with more bits"):
        pack_bits(torch.tensor(numbers), bits)


def test_numbers_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"Packing needs an int64 tensor; found torch\.int32\. Convert"):
        pack_bits(torch.zeros(4, dtype=torch.int32), 4)


def test_a_dense_matrix_of_groups_takes_no_bytes():
    mask = torch.ones(SHAPE, dtype=torch.bool)
    assert pack_index(mask, NOfM(4), 0)[1].numel() == 0
