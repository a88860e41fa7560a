"""Chance without state: numbers that are a pure function of the names they are drawn for."""

import hashlib


def draw(*names: object) -> int:
    """A number in 0 .. 2**63 - 1, evenly spread, the same on every machine and in every process.

    Args:
        names: what the number is for, such as seed, epoch and cut id; told apart by their ``repr``.
    """
    digest = hashlib.blake2b(repr(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
