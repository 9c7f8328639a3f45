"""The C library's heap, told to keep what is freed.

A request takes hundreds of KiB for a moment: its bytes, its samples. glibc gives such memory back
to the system as soon as it is freed, and gets it again for the next request, page by page, each one
cleared by the kernel: with 64 callers that is 26 page faults a call of 160 KB, and nearly half of
the server's CPU time in transport.
"""

from __future__ import annotations

import ctypes

# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 2**26
"""At the end of the heap. What a burst has taken beyond that is given back."""
_MAPPED_BYTES = 2**22
"""Larger pieces are rare, and mapped for themselves."""


def keep_freed_memory() -> None:
    """Lets the process reuse memory that it has had. Without effect where malloc is not glibc's."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
