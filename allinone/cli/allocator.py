"""Memory of a training on a CPU: what a step frees stays with the process, for the next step."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)


def keep_freed_memory() -> bool:
    """Tells the C library (glibc) to keep what is freed.

    By itself it gives large pieces back to the system, which has to clear them when the next step asks for them anew.
    The process then holds, to its end, as much as it needed at once.

    Returns:
        Whether it was told: not where there is another C library.
    """
    if sys.platform != "linux":
        return False
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    return tell is not None and bool(tell(_MMAP_MAX, 0)) and bool(tell(_TRIM_THRESHOLD, -1))
