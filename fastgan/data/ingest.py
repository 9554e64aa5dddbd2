"""Many images -> one tensor: survey, decode in threads, in order, with every bad image accounted for."""

import math
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, TypeVar

import numpy as np

from fastgan.data import decode
from fastgan.data.dataset import BadImage, Progress, nearest_power, option
from fastgan.data.memory import workers
from fastgan.data.sources import Images
from fastgan.data.spool import Spool
from fastgan.errors import DataError
from fastgan.text import whole

T = TypeVar("T")


@dataclass(frozen=True)
class Survey:
    """What the headers tell: the rows worth decoding, and the geometry to decode them to."""

    rows: np.ndarray  # int64 [K]
    bad: list[BadImage]
    resolution: int
    channels: int
    median: int | None = None
    """The side in pixels that decided over the resolution, where it was left open"""


def allowed_bad(max_bad: str | float, total: int) -> int:
    """How many bad images of `total` are tolerated.

    "1%" and 0.01 (or "0.01") are fractions, rounded down; 5 and "5" are counts; 1.0 is everything, 1 is one image.
    """
    wrong = DataError(
        f"{option('max_bad', max_bad)} is not possible: use a share such as 1% or 0.01, or a count such as 5"
    )
    text = str(max_bad).strip()
    try:
        share = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise wrong from None
    count = whole(text)
    if not (share >= 0 and (count is not None or share <= 1)):  # also refuses NaN
        raise wrong
    return count if count is not None else math.floor(share * total + 1e-9)


def survey(
    images: Images,
    resolution: int | None,
    channels: int | None,
    fit: str,
    progress: Progress | None,
    max_pixels: int | None = None,
) -> Survey:
    """Read the headers of all images and settle what was left open; with nothing left open, read none.

    resolution: the power of two nearest to the median side (the short one when images are
    cropped, the long one when they are padded), from 8 to 256. channels: 1 when all images are grey, else 3;
    transparency is kept only when 4 is asked for.
    """
    if resolution is not None and channels is not None:
        return Survey(np.arange(len(images)), [], resolution, channels)
    rows, sides, bad, all_grey = array("q"), array("q"), [], True
    for row, header in enumerate(headers(images, progress, max_pixels)):
        if isinstance(header, BadImage):
            bad.append(header)
        else:
            rows.append(row)
            sides.append(header.long_side if fit == "pad" else header.short_side)
            all_grey = all_grey and header.is_grey
    median = None
    if rows and resolution is None:
        median = int(np.median(sides))
        resolution = min(max(nearest_power(median), 8), 256)
    if rows and channels is None:
        channels = 1 if all_grey else 3
    return Survey(np.array(rows, np.int64), bad, resolution or 0, channels or 0, median)


def headers(
    images: Images, progress: Progress | None = None, max_pixels: int | None = None
) -> Iterator[decode.Header | BadImage]:
    """What the headers of all images say, in their order."""
    read = _each(images, lambda image: decode.read_header(image, max_pixels))
    return in_order(read, len(images), 0, progress, "scan")


def decode_all(
    load: Callable[[int], tuple[np.ndarray, int] | BadImage],
    total: int,
    spool: Spool,
    progress: Progress | None,
) -> None:
    """Gather items 0 .. total in `spool`, from where it stands."""
    for result in in_order(load, total, spool.done, progress, "decode"):
        spool.add(result)


def load_row(
    images: Images, resolution: int, channels: int, fit: str, max_pixels: int | None = None
) -> Callable[[int], tuple[np.ndarray, int] | BadImage]:
    """The `load` of `decode_all` for the images of a source."""
    return _each(images, lambda image: decode.decode(image, resolution, channels, fit, max_pixels))


def in_order(
    work: Callable[[int], T], total: int, start: int, progress: Progress | None, stage: str
) -> Iterator[T]:
    """work(i) for i in start .. total, in order, by threads (PIL decodes and resizes outside the interpreter lock).

    Only a few results wait at a time, so memory stays bounded however slow the consumer is.
    """
    threads = workers()
    waiting: deque[Future[T]] = deque()
    todo = iter(range(start, total))
    with decode.quiet(), ThreadPoolExecutor(threads, thread_name_prefix="fastgan-decode") as pool:
        try:
            for done in range(start, total):
                waiting.extend(pool.submit(work, index) for index in islice(todo, 8 * threads - len(waiting)))
                yield waiting.popleft().result()
                if progress is not None:
                    progress(stage, done + 1, total)
        finally:
            for future in waiting:
                future.cancel()


def _each(images: Images, work: Callable[[BinaryIO | np.ndarray], T]) -> Callable[[int], T | BadImage]:
    """row -> work(the image there), or the BadImage that says why it cannot be."""

    def guarded(row: int) -> T | BadImage:
        try:
            image = images.load(row)
            if isinstance(image, np.ndarray):
                return work(image)
            with image as file:
                return work(file)
        except decode.BadImageError as error:
            return BadImage(images.names[row], str(error))
        except OSError as error:
            return BadImage(images.names[row], error.strerror or str(error))

    return guarded
