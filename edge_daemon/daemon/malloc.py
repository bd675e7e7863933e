"""Limit the C library's allocator to one heap for all threads."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
"""The option's number in glibc's malloc.h."""


def limit_malloc_arenas() -> bool:
    """Make all threads that start later share one heap; return False where the C library can't.

    glibc gives each thread its own heap, which keeps freed memory. Python threads seldom allocate at the
    same time, as only one of them runs: one heap saves 2 to 3 MB (docs/measurements/speed.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, 1) == 1
