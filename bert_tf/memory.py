"""How the process keeps its memory."""

import contextlib
import ctypes
import os

# Parameters of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_FEW_CORES = 8  # on more of them, threads would queue at a single arena


def keep_freed_memory() -> None:
    """Lets the C library keep what tensors free for the tensors of the next step.

    By default it returns large blocks to the system, and a training step then spends up to an
    eighth of its time in page faults on memory that it had a moment ago. Call it before
    TensorFlow is imported: threads that exist already keep allocating in areas of their own,
    which hold nothing above 64 MB. Where the C library is another one, nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        if (os.cpu_count() or 1) <= _FEW_CORES:
            library.mallopt(_ARENA_MAX, 1)
