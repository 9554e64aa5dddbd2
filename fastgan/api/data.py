"""`fastgan.pack`: any source of images as one checked file."""

import os
from collections.abc import Iterable

from fastgan import arguments
from fastgan import progress as shows
from fastgan.api.call import long_call
from fastgan.api.heard import Heard
from fastgan.callbacks import Callback, Job, as_one, told
from fastgan.data import Dataset
from fastgan.data import pack as pack_images

StrPath = str | os.PathLike[str]


@long_call
def pack(
    source: StrPath,
    out: StrPath,
    *,
    resolution: int | None = None,
    channels: int | None = None,
    fit: str = "crop",
    split: str | None = None,
    kind: str | None = None,
    max_bad: str | float = 0.01,
    max_pixels: int | None = None,
    resumable: bool = False,
    overwrite: bool = False,
    callback: Callback | Iterable[Callback] | None = None,
    progress: bool = True,
) -> Dataset:
    """Pack `source` into the file `out` (.fgd), whole or not at all, and return it opened.

    source: a folder or an archive of images, CIFAR, CelebA, idx files, WebDataset shards, parquet, or an .fgd to make
    smaller. Classes and attributes come along. Images are turned upright, made square and resized with Lanczos.
    resolution: pixels a side; by default the power of two nearest to the median short side, from 8 to 256. channels: 1,
    3 or 4; by default 1 when all images are grey, else 3. fit: "crop" what is not square, or "pad" it. split: train,
    val, test, extra or all, where there are such; by default train. kind: how to read a source that could be read in
    several ways: "folder", "cifar" and so on. max_bad: how many unreadable images are skipped, a share (0.01, "1%") or
    a count (5, "5"); the skipped are in `.bad`, what else was decided in `.notes`. max_pixels: larger images are
    skipped, too; by default those of over 89 million.
    resumable: what was decoded stays beside `out` when this is interrupted, and the same call goes on from it.
    overwrite: replace `out`; never where it is `source` by another name.
    callback: hears `begin`, how many images each stage has done, and `end`.

    Raises DataError for a source that cannot be read or holds too many bad images, and OutputError where `out` cannot
    be written. After KeyboardInterrupt nothing half-written stays.
    """
    hearer = as_one(callback)
    job = Job(work="pack", settings={"source": str(source), "out": str(out), "resolution": resolution})
    with told(hearer, job) as results, shows.progress(progress) as shown:
        dataset = pack_images(
            source, out, resolution=resolution, channels=channels, fit=fit, split=split, kind=kind, max_bad=max_bad,
            max_pixels=max_pixels, progress=shows.stages(Heard(shown, hearer)), resumable=resumable,
            overwrite=overwrite,
        )  # fmt: skip
        results.update(
            path=arguments.path(out, "out"), images=len(dataset), content_hash=dataset.content_hash
        )
    return dataset
