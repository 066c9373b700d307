"""How the process keeps its memory."""

import ctypes

# glibc's numbers of these settings (malloc.h), and values beyond any tensor.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEEP_BYTES, LARGEST_BYTES = 2**31 - 1, (2**30, 2**25)  # older versions take no more than the second


def keep_freed_memory():
    """Has freed memory used again rather than given back to the system. Where the C library is not glibc nothing is done.

    Every batch takes and frees the same large pieces, and glibc asks the system for each of them anew: the system then
    fills every page with zeros, which costs a reader of whole videos a third of its time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and any(mallopt(MMAP_THRESHOLD, size) for size in LARGEST_BYTES):
        mallopt(TRIM_THRESHOLD, KEEP_BYTES)
