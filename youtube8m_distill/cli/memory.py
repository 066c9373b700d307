"""How the C library keeps the memory of this process."""

import ctypes

# glibc's numbers of these settings (malloc.h), and values larger than any tensor.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEEP_BYTES, LARGEST_BYTES = 2**31 - 1, (2**30, 2**25)  # older versions accept only the second


def keep_freed_memory():
    """Makes the allocator reuse freed memory instead of returning it to the system. Does nothing without glibc.

    Every batch allocates and frees the same large blocks. By default glibc requests each of them from the system, which
    zeroes every page: a reader of whole videos spends a third of its time on that.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and any(mallopt(MMAP_THRESHOLD, size) for size in LARGEST_BYTES):
        mallopt(TRIM_THRESHOLD, KEEP_BYTES)
