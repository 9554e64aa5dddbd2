"""Batches as a pure function of (seed, cur_nimg), so that a resumed run sees what an unbroken one would have."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import torch

from fastgan.brief import brief
from fastgan.data import streams, views
from fastgan.data.dataset import Dataset, nearest_power, pieces
from fastgan.data.memory import room_for_images
from fastgan.data.row_file import FileImages
from fastgan.errors import DataError
from fastgan.pixels import to_float


class Conditions(NamedTuple):
    """What is known of some images, on the device; None for what the set does not have."""

    labels: torch.Tensor | None  # int64 [n]
    attributes: torch.Tensor | None  # float32 [n, A]; NaN: unknown

    def __repr__(self) -> str:
        return brief(self)


class Batch(NamedTuple):
    """Images and what is known of them, on the device."""

    images: torch.Tensor  # float32 [n, C, H, W] in [-1, 1] (x / 127.5 - 1), channels_last
    labels: torch.Tensor | None  # int64 [n]
    attributes: torch.Tensor | None  # float32 [n, A]; NaN: unknown

    def __repr__(self) -> str:
        return brief(self)


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of the images in one epoch: int64 [count], a permutation given by (seed, epoch) alone.

    Sorting raw Philox output (Salmon et al. 2011) depends on nothing that numpy may change between versions, as
    `Generator.permutation` does.
    """
    return np.argsort(streams.philox(seed, epoch, 0, streams.ORDER).random_raw(count), kind="stable")


def split(seed: int, count: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """int64 rows (to train on, held out), both ascending; `share` of `count` images are held out, given by the seed."""
    rows = np.arange(count, dtype=np.int64)
    if not share:
        return rows, rows[:0]
    held = min(max(round(share * count), 1), count)
    order = np.argsort(streams.words(seed, 0, count, streams.HOLDOUT), kind="stable")
    return np.sort(order[held:]), np.sort(order[:held])


class Feed:
    """Hands out training batches. Stateless to its caller: `batch(cur_nimg, n)` is the same whatever was asked before.

    Every image is shown once an epoch, epochs follow each other without a gap, and a batch may straddle them. The
    images shown at positions cur_nimg .. cur_nimg+n do not depend on how positions are grouped into batches.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        device: torch.device | str,
        seed: int = 0,
        mirror: bool = False,
        flip_vertical: bool = False,
        rotate: float = 0.0,
        scale: float = 0.0,
        holdout: float = 0.0,
        resident: bool | None = None,
    ) -> None:
        """Prepare to feed `dataset` to `device`.

        mirror, flip_vertical: flip each shown image left-right, top-bottom, with probability 1/2. rotate: turn it by
        up to so many degrees either way. scale: zoom it by up to 1 + scale, in or out. holdout: the share of the
        images, chosen by `seed`, that is never shown; `held` names them. resident: keep all images on the device (on
        the CPU: gather them in the caller's thread); None: when they take at most a quarter of the free GPU memory,
        or half of the RAM; otherwise a thread prepares the next batch ahead. Raises DataError when the set cannot
        be trained on.
        """
        if len(dataset) < 2:
            raise DataError("the data set has one image, and training needs at least 2")
        self._rows, held = split(seed, len(dataset), holdout)
        self.held = torch.from_numpy(held)
        """int64 [H]: the images that are held out."""
        if len(self._rows) < 2:
            raise DataError(
                f"data.holdout = {holdout} leaves {len(self._rows)} of {len(dataset)} images to train on, and "
                "training needs at least 2: hold out fewer"
            )
        size = dataset.resolution
        if size < 8 or size & (size - 1):
            raise DataError(
                f"the images are {size} pixels wide, and training needs a power of two from 8 up: "
                f"pack them with fastgan data pack --size {max(8, nearest_power(size))}"
            )
        self.dataset = dataset
        self.device = torch.device(device)
        self.seed = seed
        self.mirror, self.flip_vertical, self.rotate, self.scale = mirror, flip_vertical, rotate, scale
        self.resident = (
            dataset.images.nbytes <= room_for_images(self.device) if resident is None else resident
        )
        on_device = self.resident and self.device.type != "cpu"
        self._images = (
            _moved(dataset.images, self.device) if on_device else dataset.images
        )  # [N, H, W, C] uint8
        self._labels = None if dataset.labels is None else dataset.labels.to(self.device)  # [N] int64
        self._attributes = (
            None if dataset.attributes is None else dataset.attributes.to(self.device)
        )  # [N, A]
        self._orders: dict[int, np.ndarray] = {}
        self._pool = None if self.resident else ThreadPoolExecutor(1, thread_name_prefix="fastgan-feed")
        self._ahead: tuple[tuple[int, int], Future[torch.Tensor]] | None = None

    def batch(self, cur_nimg: int, n: int, *, stride: int | None = None) -> Batch:
        """The images at positions cur_nimg .. cur_nimg+n of the endless sequence, and what is known of them.

        stride: how far on the next batch begins, to prepare it ahead; n unless several processes share a batch.
        """
        if cur_nimg < 0 or n < 0:
            raise ValueError(f"cur_nimg {cur_nimg} and n {n} must not be negative")
        index = self.indices(cur_nimg, n)
        pixels = self._shown(self._pixels(cur_nimg, n, index, stride or n), cur_nimg, n)
        return Batch(to_float(pixels), *self._conditions(index))

    def look(self, rows: torch.Tensor) -> Batch:
        """The images `rows` (int64 [n]) of the data set as they are, held out or not, and what is known of them."""
        pixels = self._images[rows.to(self._images.device)].to(self.device)
        return Batch(to_float(pixels), *self._conditions(rows))

    def conditions(self, cur_nimg: int, n: int) -> Conditions:
        """Labels and attributes to generate with: rows drawn from the set, so that they go together as they do there.

        Like `batch` a function of seed and position alone, and independent of which images `batch` shows.
        """
        drawn = streams.words(self.seed, cur_nimg, n, streams.CONDITIONS) % np.uint64(len(self._rows))
        return self._conditions(torch.from_numpy(self._rows[drawn.astype(np.int64)]))

    def indices(self, cur_nimg: int, n: int) -> torch.Tensor:
        """int64 [n]: which images of the data set stand at positions cur_nimg .. cur_nimg+n."""
        count = len(self._rows)
        pieces, position, end = [], cur_nimg, cur_nimg + n
        while position < end:
            epoch, offset = divmod(position, count)
            piece = self._order(epoch)[offset : offset + end - position]
            pieces.append(piece)
            position += len(piece)
        return (
            torch.from_numpy(self._rows[np.concatenate(pieces)])
            if pieces
            else torch.empty(0, dtype=torch.int64)
        )

    def close(self) -> None:
        """Stop the prefetching thread, if there is one."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
            self._ahead = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _conditions(self, index: torch.Tensor) -> Conditions:
        rows = index.to(self.device)
        return Conditions(
            None if self._labels is None else self._labels[rows],
            None if self._attributes is None else self._attributes[rows],
        )

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            if len(self._orders) > 1:  # the current epoch and its neighbour are enough
                self._orders.clear()
            self._orders[epoch] = epoch_order(self.seed, epoch, len(self._rows))
        return self._orders[epoch]

    def _shown(self, pixels: torch.Tensor, cur_nimg: int, n: int) -> torch.Tensor:
        """uint8 [n, H, W, C] as they are shown at positions cur_nimg .. cur_nimg+n; float32 in [0, 255] if turned."""
        at = (self.seed, cur_nimg, n)
        if self.mirror:
            pixels = views.flip(pixels, views.flips(*at), 2)
        if self.flip_vertical:
            pixels = views.flip(pixels, views.flips(*at, streams.FLIP_VERTICAL), 1)
        if self.rotate or self.scale:
            pixels = views.turn(pixels, views.angles(*at, self.rotate), views.zooms(*at, self.scale))
        return pixels

    def _pixels(self, cur_nimg: int, n: int, index: torch.Tensor, stride: int) -> torch.Tensor:
        """uint8 [n, H, W, C] on the device."""
        if self._pool is None:
            return self._images[index.to(self._images.device)].to(self.device)
        wanted = (cur_nimg, n)
        if self._ahead is not None and self._ahead[0] == wanted:
            pixels = self._ahead[1].result()
        else:
            pixels = self._gather(index)
        following = (cur_nimg + stride, n)
        self._ahead = (following, self._pool.submit(self._gather, self.indices(*following)))
        return pixels.to(self.device, non_blocking=True)

    def _gather(self, index: torch.Tensor) -> torch.Tensor:
        """uint8 [n, H, W, C] in host memory, pinned when it goes to a GPU."""
        pixels = torch.empty(
            (len(index), *self._images.shape[1:]), dtype=torch.uint8, pin_memory=self.device.type == "cuda"
        )
        if isinstance(self._images, FileImages):
            return self._images.file.take(index, pixels)
        return torch.index_select(self._images, 0, index, out=pixels)


def _moved(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """All images on the device, without all of them in host memory."""
    moved = torch.empty(images.shape, dtype=torch.uint8, device=device)
    done = 0
    for part in pieces(images):
        moved[done : done + len(part)].copy_(part)
        done += len(part)
    return moved
