"""Which size images are trained at where none is asked for: what suits them, within what the device trains in time."""

import torch

from fastgan.data import Found
from fastgan.data.opening import size_note
from fastgan.naming import named

LARGEST = {"cpu": 64, "cuda": 256}
"""The largest side that is chosen on a device. Twice the side costs four times as long for an image, and needs more of
them: on two CPU cores 64 px take minutes to an hour, 128 px hours (docs/training.md)."""


def choose(found: Found, device: torch.device) -> tuple[int, str | None]:
    """The side to train `found` at on `device`, and why, in a sentence.

    A size that was asked for and that of a packed set are kept, without a word (None).
    """
    median, size = found.median, found.resolution
    if median is None:
        return size, None
    largest = LARGEST.get(device.type, LARGEST["cuda"])
    if size <= largest:
        return size, size_note(size, median)
    return largest, (
        f"size {largest} is what {'a CPU' if device.type == 'cpu' else 'this device'} trains in sensible time; the "
        f"images' median side is {median}, and {named('resolution', 2 * largest)} shows more, "
        "at about four times the time"
    )
