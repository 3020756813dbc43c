"""Allocator settings for the training step."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_MMAP_THRESHOLD_MAX = 32 << 20
"""glibc refuses a higher one on 64 bits."""


@functools.cache
def keep_freed() -> None:
    """Make this process keep the memory it frees, up to 1 GB, instead of handing it back to the kernel.

    A step allocates and frees the same activations each time. By default glibc maps each afresh, and the kernel clears
    every page of it: a fifth of the step. Does nothing where the allocator is not glibc's. See mallopt(3).
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_MAX)
            libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
