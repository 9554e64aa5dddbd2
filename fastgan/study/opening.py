"""The images of a study, at a size that GANs can make and with the channels that they have."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fastgan.data import Dataset, decode, ingest, open_dataset, packed, sources
from fastgan.data.dataset import content_hash
from fastgan.naming import named

LARGEST = 64
"""Pixels, unless a size is asked for: what a CPU can train GANs and classifiers on in minutes."""
SMALLEST = 8
"""Pixels that GANs can make."""


def open_images(
    path: Path, size: int | None, channels: int | None, max_pixels: int | None = None
) -> tuple[Dataset, list[str]]:
    """The images of `path`, and what was decided about them, in sentences.

    size, channels: as asked for; None: those of the images, as far as GANs can make them. max_pixels: of the largest.
    """
    if packed.matches(path) and not path.is_dir():
        dataset = open_dataset(path)
        side, decided = _side([dataset.resolution]) if size is None else (size, [])
        if dataset.resolution < side < 2 * dataset.resolution:
            return _enlarged(dataset, side, channels or dataset.channels), decided
        return open_dataset(path, resolution=side, channels=channels), decided
    headers = _headers(path, max_pixels) if size is None or channels is None else []
    if not headers:  # nothing to decide, or nothing that can be read
        return open_dataset(path, resolution=size, channels=channels, max_pixels=max_pixels), []
    side, decided = _side([header.short_side for header in headers]) if size is None else (size, [])
    if channels is None and 2 * sum(header.has_alpha for header in headers) > len(headers):
        dataset = open_dataset(path, resolution=side, channels=4, max_pixels=max_pixels)
        transparent = (dataset.images[..., 3] < 255).flatten(1).any(1)
        if 2 * int(transparent.sum()) > len(dataset):
            decided.append(
                f"the images have transparency and are studied as RGBA: {named('channels')} 3 lays them on white"
            )
            return dataset, decided
    own = 1 if all(header.is_grey for header in headers) else 3
    return open_dataset(path, resolution=side, channels=channels or own, max_pixels=max_pixels), decided


def _headers(path: Path, max_pixels: int | None) -> list[decode.Header]:
    """Of the images that `open_dataset` reads."""
    _, module = sources.find(path)
    images = sources.choose_split(path, module.read(path), None)
    return [
        header
        for header in ingest.headers(images, max_pixels=max_pixels)
        if isinstance(header, decode.Header)
    ]


def _side(sides: list[int]) -> tuple[int, list[str]]:
    """The side to study images of such `sides` at, and a sentence where it is not their own."""
    median = int(np.median(sides))
    side = min(power_from(max(median, SMALLEST)), LARGEST)
    low, high = min(sides), max(sides)
    if low == high == side:
        return side, []
    own = f"{low}" if low == high else f"{low} to {high}"
    why = (
        "for GANs make images whose side is a power of two"
        if median <= LARGEST
        else f"which takes minutes where more takes hours: {named('size')} {2 * LARGEST} shows more of them"
    )
    return side, [f"the images have {own} px and are studied at {side}, {why}"]


def power_from(side: int) -> int:
    """The smallest power of two that is no less than `side`."""
    return 1 << max(side - 1, 0).bit_length()


def _enlarged(dataset: Dataset, side: int, channels: int) -> Dataset:
    """A packed set with more pixels than it was packed with, which `open_dataset` leaves to who has the originals."""
    rows = ingest.in_order(
        lambda row: decode.decode(dataset.images[row].numpy(), side, channels)[0],
        len(dataset),
        0,
        None,
        "decode",
    )
    images = torch.from_numpy(np.stack([*rows]))
    return replace(
        dataset, images=images, content_hash=content_hash(images, dataset.labels, dataset.attributes)
    )
