"""How the C library treats memory that a training step has freed."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The settings' numbers in glibc's malloc.h."""

_LARGEST_TENSORS = (2**30, 2**25)
"""The second is the most that glibc takes before 2.35."""

_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep memory that it has freed, for the next step will ask for as much again.

    glibc gives large blocks back to the system as soon as they are free, and the system clears them page by page when
    they are wanted again: a tenth of a small network's step on a CPU. The peak stays what it is; between its peaks the
    process holds more. Calling it again changes nothing.

    Returns:
        Whether the C library took it; one that is not glibc is left alone.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is None or not any(adjust(_MMAP_THRESHOLD, size) for size in _LARGEST_TENSORS):
        return False  # either setting ends glibc's own adjusting of both: the second alone would be worse than nothing
    return bool(adjust(_TRIM_THRESHOLD, _NEVER))


def give_back_freed_memory() -> None:
    """Give the system back what this process keeps of memory that it has freed, where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
