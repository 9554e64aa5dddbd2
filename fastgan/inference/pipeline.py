"""Latents -> runtime -> encoders in worker threads -> files, with bounded memory."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastgan.errors import OutputError
from fastgan.inference.conditions import Request
from fastgan.inference.folder import OutputFolder, disk_errors, image_name
from fastgan.inference.grid import check_sheet, columns_for, contact_sheet
from fastgan.inference.runtime import Runtime
from fastgan.inference.writers import encode, npz_holds, open_npz, replace_bytes, write_png

Advance = Callable[[int], None]
ANYTHING = Request()
_IN_FLIGHT = 4  # batches that wait for encoding at most


def batches(
    runtime: Runtime, seeds: Sequence[int], request: Request
) -> Iterator[tuple[Sequence[int], NDArray[np.uint8]]]:
    """Yield (seeds, uint8 [n, H, W, C]) for one batch of the runtime after the other."""
    for start in range(0, len(seeds), runtime.batch):
        part = seeds[start : start + runtime.batch]
        yield part, runtime.images(part, request)


def write_images(
    runtime: Runtime,
    seeds: Sequence[int],
    folder: OutputFolder,
    image_format: str,
    *,
    request: Request = ANYTHING,
    advance: Advance,
) -> int:
    """Write the images of `seeds` that are not in `folder` yet, and return how many that were.

    Encoding runs in threads (the codecs release the GIL) while the next batch is generated. `advance(n)` is
    called when n more images are on disk. Raises OutputError when the disk refuses.
    """
    todo = sorted(folder.missing(seeds, image_format))
    waiting: deque[tuple[int, Future[str]]] = deque()
    pool = ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1))
    try:
        with folder.recording() as recorder:

            def collect(down_to: int) -> None:
                done = [waiting.popleft() for _ in range(len(waiting) - down_to)]
                written = [(seed, image_name(seed, image_format), digest.result()) for seed, digest in done]
                for entry in folder.entries(written):
                    recorder.add(entry)
                recorder.flush()
                advance(len(done))

            for part, images in batches(runtime, todo, request):
                for seed, image in zip(part, images, strict=True):
                    target = folder.path / image_name(seed, image_format)
                    waiting.append((seed, pool.submit(_write_one, target, image, image_format)))
                collect(_IN_FLIGHT * runtime.batch)
            collect(0)
    finally:
        pool.shutdown(cancel_futures=True)
    return len(todo)


def _write_one(path: Path, image: NDArray[np.uint8], image_format: str) -> str:
    """Encode and write one image; its SHA-256."""
    data = encode(image, image_format)
    replace_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def write_npz(
    runtime: Runtime,
    seeds: Sequence[int],
    folder: OutputFolder,
    *,
    request: Request = ANYTHING,
    advance: Advance,
) -> int:
    """Write OUT/images.npz (images uint8 [N, H, W, C], seeds uint64 [N]); 0 if it is there with these seeds.

    Of a conditional model it also holds labels int64 [N], attributes float32 [N, A] or both. Raises OutputError
    when it is there with other seeds, or the disk refuses.
    """
    path = folder.path / "images.npz"
    if npz_holds(path, seeds):
        return 0
    if path.exists():
        raise OutputError(
            f"{path} holds the images of other seeds: choose another folder with -o, or give --overwrite."
        )
    shape = (runtime.resolution, runtime.resolution, runtime.img_channels)
    drawn = runtime.data.draw(seeds, request).arrays() if runtime.data is not None else {}
    with disk_errors(path), open_npz(path, seeds, shape, drawn) as stream:
        for part, images in batches(runtime, seeds, request):
            stream.append(images)
            advance(len(part))
    return len(seeds)


def write_grid(
    runtime: Runtime,
    seeds: Sequence[int],
    folder: OutputFolder,
    *,
    request: Request = ANYTHING,
    advance: Advance,
) -> Path:
    """Write OUT/grid.png, one contact sheet of all `seeds`, and return its path.

    Where several classes are requested: a row a class, with the same z along each column.
    """
    path = folder.path / "grid.png"
    several = len(request.classes) > 1
    rows = [replace(request, classes=(label,)) for label in request.classes] if several else [request]
    columns = grid_columns(runtime, len(seeds), request)
    images = []
    for row in rows:
        for part, generated in batches(runtime, seeds, row):
            images.append(generated)
            advance(len(part))
    with disk_errors(path):
        write_png(path, contact_sheet(np.concatenate(images), columns))
    return path


def grid_columns(runtime: Runtime, count: int, request: Request) -> int:
    """Columns of the sheet that `write_grid` makes of `count` seeds; ConfigError where it would be too large."""
    rows = len(request.classes)
    if rows < 2:
        return columns_for(count, runtime.resolution)
    check_sheet(rows, count, runtime.resolution)
    return count
