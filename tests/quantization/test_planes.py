"""Laws of bit planes: all of them are the integers, the first ones their most significant bits, in no more bytes."""

import pytest
import torch

from allinone.quantization.planes import PLANES, pack_planes, planes_bytes, planes_needed, unpack_planes


@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (8,), (16, 16), (3, 5, 29)])
def test_the_first_planes_are_the_most_significant_bits(shape):
    generator = torch.Generator().manual_seed(0)
    integers = torch.randint(-128, 128, shape, generator=generator, dtype=torch.int8)
    packed, count = pack_planes(integers), integers.numel()
    assert packed.shape == (count,)
    assert torch.equal(unpack_planes(packed, PLANES, count), integers.flatten())
    for planes in range(1, PLANES + 1):
        first = packed[: planes_bytes(count, planes)]
        assert torch.equal(unpack_planes(first, planes, count), integers.flatten() >> (8 - planes))


def test_planes_stand_where_they_are_said_to():
    """Of -128 (1000 0000), 1 (0000 0001) and 3 (0000 0011): bit i of the stream is bit i % 8 of byte i // 8."""
    packed = pack_planes(torch.tensor([-128, 1, 3], dtype=torch.int8))
    stream = [int(packed[i // 8]) >> (i % 8) & 1 for i in range(24)]
    assert stream == [1, 0, 0, *[0] * 15, 0, 0, 1, 0, 1, 1]


def test_one_plane_more_than_bits_is_needed():
    assert [planes_needed(bits) for bits in range(2, 9)] == [3, 4, 5, 6, 7, 8, 8]
    assert planes_bytes(29, 3) == 11
