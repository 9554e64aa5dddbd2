"""Which size images are trained at where none is asked for or chosen: theirs, within what a device can do."""

import torch

from fastgan.data import Found
from fastgan.data.opening import size_note
from fastgan.naming import named
from fastgan.training.choices.facts import LARGEST


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
