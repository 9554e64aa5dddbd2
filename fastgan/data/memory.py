"""How much memory there is to keep images in."""

import os

import torch


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
