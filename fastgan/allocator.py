"""The C allocator of this process: memory that a training step frees stays, for the next step to take.

glibc hands blocks above a threshold (32 MB at most) back to the kernel at once, and the top of its heap, too. A
training step frees and takes the same blocks again and again, so every step pays the kernel for fresh pages: 3 to 8%
of a training step's time on a CPU, 12 to 16% of generation's, nearly all of which is saved here. Peak memory stays
within a few percent (12% more at stylegan's full width).

Standard library only, because it should run before torch takes its first memory.
"""

import os
import sys

# Options of mallopt(3), from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_FOREVER = 2**31 - 1  # mallopt takes an int
_ASKED = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_MMAP_MAX_",
    "MALLOC_ARENA_MAX",
)


def keep_memory() -> bool:
    """Let this process keep the memory that it frees, up to its peak, until it ends. Returns whether it will.

    `fastgan.train`, `generate` and the other long calls call it, `import fastgan` never does. To be called before torch
    takes its first memory. Does nothing without glibc (musl, macOS, Windows) and where the environment sets malloc's
    options already.
    """
    if not _is_glibc() or _chosen_by_user():
        return False
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    # One heap for all threads: those that threads have of their own end at 64 MB, and larger blocks come and go again.
    options = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _FOREVER, _M_ARENA_MAX: 1}
    return all(mallopt(option, value) == 1 for option, value in options.items())


def _is_glibc() -> bool:
    try:
        return sys.platform == "linux" and (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (ValueError, OSError):  # musl has no such name
        return False


def _chosen_by_user() -> bool:
    return any(name in os.environ for name in _ASKED) or "glibc.malloc" in os.environ.get(
        "GLIBC_TUNABLES", ""
    )
