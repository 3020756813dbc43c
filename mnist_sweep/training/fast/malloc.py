"""Allocator settings for the training step."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_MMAP_THRESHOLD_MAX = 32 << 20
"""The highest threshold that glibc accepts on 64-bit systems."""


@functools.cache
def keep_freed() -> None:
    """Make this process keep the memory it frees, up to 1 GB, instead of returning it to the kernel.

    Every step allocates and frees the same activations. By default glibc maps new pages for each, and the kernel clears
    them, which takes a fifth of the step. Does nothing if the allocator is not glibc's. See mallopt(3).
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_MAX)
            libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
