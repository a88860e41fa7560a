"""Tests of memory that stays with the process."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from allinone.cli.allocator import keep_freed_memory
kept = {keep} and keep_freed_memory()
for _ in range(10):
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(2**24)
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> tuple[int, int]:
    found = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True, timeout=120
    )
    kept, count = found.stdout.split()
    return int(kept), int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has mallopt")
def test_kept_memory_is_not_asked_for_again():
    kept, few = faults(keep=True)
    if not kept:
        pytest.skip("this C library has no mallopt")
    many = faults(keep=False)[1]
    assert few < many / 10


def test_elsewhere_nothing_is_told(monkeypatch):
    from allinone.cli.allocator import keep_freed_memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
