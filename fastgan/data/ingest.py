"""Many encoded images -> one tensor: survey, decode in threads, in order, with every bad image accounted for."""

import hashlib
import math
import statistics
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from fastgan.data import decode
from fastgan.data.dataset import BadImage
from fastgan.data.memory import physical_memory, workers
from fastgan.data.sources import Item
from fastgan.errors import DataError, OutputError

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total); stages are "scan" and "decode"."""

T = TypeVar("T")


@dataclass(frozen=True)
class Survey:
    """What the headers tell: the items worth decoding, and the geometry to decode them to."""

    items: list[Item]
    bad: list[BadImage]
    resolution: int
    channels: int


@dataclass(frozen=True)
class Decoded:
    """The result of `decode_all`: images uint8 [K, S, S, C], which items they are, and what happened on the way."""

    images: torch.Tensor
    kept: list[int]
    bad: list[BadImage]
    upscaled: int
    digest: Any  # hashlib's object, fed with the pixel bytes


def allowed_bad(max_bad: str | float, total: int) -> int:
    """How many bad images of `total` are tolerated.

    "1%" and 0.01 (or "0.01") are fractions, rounded down; 5 and "5" are counts; 1.0 is everything, 1 is one image.
    """
    wrong = DataError(
        f"max_bad {max_bad!r} is not possible: use a share such as 1% or 0.01, or a count such as 5"
    )
    text = str(max_bad).strip()
    try:
        share = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise wrong from None
    is_count = text.isdigit()
    if not (share >= 0 and (is_count or share <= 1)):  # also refuses NaN
        raise wrong
    return int(text) if is_count else math.floor(share * total + 1e-9)


def survey(
    items: Sequence[Item], resolution: int | None, channels: int | None, progress: Progress | None
) -> Survey:
    """Read the headers of all items and settle what was left open.

    resolution: the largest power of two <= the median short side, from 8 to 256. channels: 1 when all images are
    grey, else 3; transparency is kept only when 4 is asked for.
    """
    good, headers, bad = [], [], []
    for item, header in zip(items, in_order(_header, items, progress, "scan"), strict=True):
        if isinstance(header, BadImage):
            bad.append(header)
        else:
            good.append(item)
            headers.append(header)
    if headers and resolution is None:
        median = int(statistics.median(header.short_side for header in headers))
        resolution = 2 ** min(max(median.bit_length() - 1, 3), 8)
    if headers and channels is None:
        channels = 1 if all(header.is_grey for header in headers) else 3
    return Survey(good, bad, resolution or 0, channels or 0)


def decode_all(
    items: Sequence[T],
    load: Callable[[T], tuple[np.ndarray, int] | BadImage],
    *,
    resolution: int,
    channels: int,
    folder: Path | None,
    progress: Progress | None,
) -> Decoded:
    """Load every item and gather the images, in memory or (folder given) in an unnamed temporary file there."""
    spool: _Spool = (
        _Memory(len(items), resolution, channels) if folder is None else _File(folder, resolution, channels)
    )
    kept, bad, upscaled, digest = [], [], 0, hashlib.sha256()
    for index, result in enumerate(in_order(load, items, progress, "decode")):
        if isinstance(result, BadImage):
            bad.append(result)
            continue
        pixels, short_side = result
        pixels = np.ascontiguousarray(pixels)
        spool.append(pixels)
        digest.update(pixels.data)
        kept.append(index)
        upscaled += short_side < resolution
    return Decoded(spool.finish(), kept, bad, upscaled, digest)


def load_item(resolution: int, channels: int) -> Callable[[Item], tuple[np.ndarray, int] | BadImage]:
    """The `load` of `decode_all` for encoded images."""
    return lambda item: _guarded(item, lambda file: decode.decode(file, resolution, channels))


def in_order(
    work: Callable[[T], Any], items: Sequence[T], progress: Progress | None, stage: str
) -> Iterator[Any]:
    """work(item) for each item, in order, by threads (PIL decodes and resizes outside the interpreter lock).

    Only a few results wait at a time, so memory stays bounded however slow the consumer is.
    """
    threads = workers()
    waiting: deque[Future[Any]] = deque()
    todo = iter(items)
    with decode.quiet(), ThreadPoolExecutor(threads, thread_name_prefix="fastgan-decode") as pool:
        try:
            for done in range(len(items)):
                while len(waiting) < 8 * threads and (item := next(todo, None)) is not None:
                    waiting.append(pool.submit(work, item))
                yield waiting.popleft().result()
                if progress is not None:
                    progress(stage, done + 1, len(items))
        finally:
            for future in waiting:
                future.cancel()


def _header(item: Item) -> decode.Header | BadImage:
    return _guarded(item, decode.read_header)


def _guarded(item: Item, work: Callable[[Any], T]) -> T | BadImage:
    """work(open file), or the BadImage that says why it cannot be."""
    try:
        with item.open() as file:
            return work(file)
    except decode.BadImageError as error:
        return BadImage(item.name, str(error))
    except OSError as error:
        return BadImage(item.name, error.strerror or str(error))


class _Spool(Protocol):
    def append(self, pixels: np.ndarray) -> None: ...

    def finish(self) -> torch.Tensor: ...


class _Memory:
    """Gathers images in RAM."""

    def __init__(self, count: int, resolution: int, channels: int) -> None:
        needed = count * resolution * resolution * channels
        if needed > physical_memory() // 2:
            raise DataError(
                f"decoded, these {count} images take {needed / 1e9:.1f} GB, more than half of the memory here: "
                "pack them first (fastgan data pack SOURCE -o FILE.fgd) and use the packed file"
            )
        self._images = torch.empty(count, resolution, resolution, channels, dtype=torch.uint8)
        self._view = self._images.numpy()
        self._count = 0

    def append(self, pixels: np.ndarray) -> None:
        self._view[self._count] = pixels
        self._count += 1

    def finish(self) -> torch.Tensor:
        return self._images[: self._count]


class _File:
    """Gathers images in a file without a name: it is gone when the process is, however that ends."""

    def __init__(self, folder: Path, resolution: int, channels: int) -> None:
        self._shape = (resolution, resolution, channels)
        self._folder = folder
        with self._told():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (finish closes it)
        self._count = 0

    def append(self, pixels: np.ndarray) -> None:
        # Written, not stored through a map: a full disk is then an error that can be told, not a bus error.
        with self._told():
            self._file.write(pixels.data)
        self._count += 1

    def finish(self) -> torch.Tensor:
        with self._file as file:
            with self._told():
                file.flush()
            if self._count == 0:
                return torch.empty(0, *self._shape, dtype=torch.uint8)
            return torch.from_numpy(np.memmap(file, np.uint8, mode="c", shape=(self._count, *self._shape)))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"cannot write in {self._folder}: {error.strerror or error}") from error
