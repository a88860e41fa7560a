"""Laws of packing: exact round trips, exact byte counts, a stated bit order, refusals."""

import itertools

import pytest
import torch

from allinone.quantization.packing import pack, packed_bytes, unpack

BITS = range(2, 9)
SHAPES = [(), (0,), (1,), (7,), (8,), (9,), (3, 5), (16, 16), (2, 3, 5), (4, 0, 2), (33, 31)]


def random_integers(shape: tuple[int, ...], bits: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(bits + 13 * len(shape))
    return torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), shape, dtype=torch.int8, generator=generator)


@pytest.mark.parametrize(("bits", "shape"), list(itertools.product(BITS, SHAPES)))
def test_unpack_inverts_pack_in_exactly_the_stated_bytes(bits: int, shape: tuple[int, ...]) -> None:
    integers = random_integers(shape, bits)
    packed = pack(integers, bits)
    assert packed.dtype == torch.uint8
    assert packed.shape == (-(-integers.numel() * bits // 8),)
    assert packed.numel() == packed_bytes(integers.numel(), bits)
    restored = unpack(packed, bits, shape)
    assert restored.dtype == torch.int8
    assert restored.shape == integers.shape
    assert torch.equal(restored, integers)


@pytest.mark.parametrize("bits", BITS)
def test_every_value_survives_at_every_place_of_a_group(bits: int) -> None:
    values = torch.arange(-(2 ** (bits - 1)), 2 ** (bits - 1)).to(torch.int8)
    for offset in range(8):
        shifted = torch.cat([torch.zeros(offset, dtype=torch.int8), values])
        assert torch.equal(unpack(pack(shifted, bits), bits, shifted.shape), shifted)


@pytest.mark.parametrize("bits", BITS)
def test_stream_equals_one_long_little_endian_number(bits: int) -> None:
    integers = random_integers((29,), bits)
    number = sum((int(value) % 2**bits) << (index * bits) for index, value in enumerate(integers))
    assert bytes(pack(integers, bits).tolist()) == number.to_bytes(packed_bytes(29, bits), "little")


def test_four_bits_put_the_first_integer_in_the_low_half() -> None:
    assert pack(torch.tensor([1, -1, -8], dtype=torch.int8), 4).tolist() == [0xF1, 0x08]


@pytest.mark.parametrize("bits", BITS)
def test_strided_views_pack_like_their_contiguous_copies(bits: int) -> None:
    integers = random_integers((12, 10), bits)
    for view in (integers.t(), integers[:, :7], integers[::2]):
        assert torch.equal(pack(view, bits), pack(view.contiguous(), bits))


@pytest.mark.parametrize("bits", range(2, 8))
@pytest.mark.parametrize("above", [True, False])
def test_integers_outside_the_range_are_refused(bits: int, above: bool) -> None:
    value = 2 ** (bits - 1) if above else -(2 ** (bits - 1)) - 1
    with pytest.raises(ValueError, match=rf"Integers of {bits} bits must lie in .*; found .*{value}.*\. Clamp before"):
        pack(torch.tensor([0, value], dtype=torch.int8), bits)


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.uint8, torch.float32, torch.bool])
def test_foreign_dtypes_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=r"Packing needs an int8 tensor; found torch\..*\. Round and clamp"):
        pack(torch.zeros(4, dtype=dtype), 4)
    if dtype != torch.uint8:
        with pytest.raises(ValueError, match=r"needs a one-dimensional uint8 tensor; found torch\..*\. Hand over"):
            unpack(torch.zeros(2, dtype=dtype), 4, (4,))


@pytest.mark.parametrize("bits", [-1, 0, 1, 9, 16, 32])
def test_bits_outside_two_to_eight_are_refused(bits: int) -> None:
    message = rf"Packing needs 2 to 8 bits; found {bits}. Store other weights as float32."
    with pytest.raises(ValueError, match=message):
        pack(torch.zeros(4, dtype=torch.int8), bits)
    with pytest.raises(ValueError, match=message):
        unpack(torch.zeros(4, dtype=torch.uint8), bits, (4,))


@pytest.mark.parametrize(("count", "shape"), [(4, (3, 3)), (6, (3, 3)), (0, (1,)), (1, (0,))])
def test_wrong_byte_counts_are_refused(count: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"take \d+ bytes; found {count}\. Use the shape and the bits"):
        unpack(torch.zeros(count, dtype=torch.uint8), 4, shape)


def test_two_dimensional_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one-dimensional uint8 tensor; found torch.uint8 of shape \(2, 2\)"):
        unpack(torch.zeros(2, 2, dtype=torch.uint8), 4, (8,))
