"""How much memory there is to keep images in."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fastgan.machine import available_memory, require_memory

_SMALL = 64 << 20
_change = threading.Condition()
_taken: list[int] = []  # bytes of the large images that are being decoded
_free = 0  # bytes that were free when the first of them began


def physical_memory() -> int:
    """Bytes of RAM; where the system does not tell, 8 GiB is assumed."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 8 << 30


def room_for_images(device: torch.device) -> int:
    """Bytes of images that may lie on `device` for a whole training run, leaving the rest to the training."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return free // 4
    return physical_memory() // 2


def workers() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def room_for(needed: int) -> Iterator[None]:
    """Wait until other threads leave `needed` bytes for an image that is to be decoded; small ones do not wait.

    Raises MemoryLimitError where there are not as many bytes at all.
    """
    global _free  # noqa: PLW0603  the memory is the process's
    if needed < _SMALL:
        yield
        return
    with _change:
        while _taken and sum(_taken) + needed > _free:
            _change.wait()
        if not _taken:
            require_memory(needed, "decoding it", "use a smaller copy")
            _free = available_memory() or 1 << 62
        _taken.append(needed)
    try:
        yield
    finally:
        with _change:
            _taken.remove(needed)
            _change.notify_all()
