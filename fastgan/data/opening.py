"""Open any source as a `Dataset`, or pack it into a file."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import PIL
import torch

from fastgan import arguments
from fastgan.data import decode, ingest, names, packed, passed_over, sources, spool
from fastgan.data.dataset import (
    PACK,
    BadImage,
    Dataset,
    Progress,
    argument_errors,
    check_geometry,
    encode_names,
    option,
    raw_bytes,
)
from fastgan.data.sources import Images
from fastgan.data.spool import Spool
from fastgan.errors import DataError
from fastgan.text import shown
from fastgan.version import __version__


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for."""

    path: Path
    resolution: int | None = None
    channels: int | None = None
    fit: str = "crop"
    split: str | None = None
    kind: str | None = None
    max_bad: str | float = 0.01
    max_pixels: int | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        """A nonsensical wish is an error before the work, not after."""
        with argument_errors():
            self._check()
        for name in (
            "resolution",
            "channels",
            "max_pixels",
        ):  # numpy's numbers become Python's, which JSON takes
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, int(value))

    def _check(self) -> None:
        check_geometry(self.resolution, self.channels)
        ingest.allowed_bad(self.max_bad, 0)
        if self.max_pixels is not None:
            arguments.whole_number(self.max_pixels, "max_pixels", 1, 1 << 40, elsewhere=PACK)
        arguments.one_of(self.fit, "fit", decode.FITS, elsewhere=PACK)
        if self.split is not None:
            arguments.one_of(self.split, "split", (*names.SPLITS, "all"), elsewhere=PACK)
        if self.kind is not None:
            arguments.one_of(self.kind, "kind", (*sources.all_kinds(),), elsewhere=PACK)


def source_path(source: object) -> Path:
    """DataError for what is no path."""
    with argument_errors():
        return arguments.path(source, "source")


def open_dataset(
    source: str | PathLike[str],
    *,
    resolution: int | None = None,
    channels: int | None = None,
    fit: str = "crop",
    split: str | None = None,
    kind: str | None = None,
    max_bad: str | float = 0.01,
    max_pixels: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The images of `source` (a packed .fgd, or anything that fastgan.data.sources reads) as a Dataset.

    resolution: side of the square images; None: a packed set's own, else the power of two nearest to the median
    short side, from 8 to 256. channels: 1, 3 or 4; None: a packed set's own, else 1 when all images are grey, or 3.
    fit: "crop" what is not square, or "pad" it. split: train, val, test, extra or all, where a source has official
    splits; None: train. kind: the name of the source's module, where several would read it. max_bad: how many
    unreadable images are skipped: a share (0.01, "1%") or a count (5, "5"); the skipped are in `Dataset.bad`.
    max_pixels: larger images are skipped so; None: decode.MAX_PIXELS. progress: called as progress(stage, done, total).

    Raises DataError: no such source, no images, more bad ones than allowed, too large for memory.
    """
    request = Request(
        path=source_path(source),
        resolution=resolution,
        channels=channels,
        fit=fit,
        split=split,
        kind=kind,
        max_bad=max_bad,
        max_pixels=max_pixels,
        progress=progress,
    )
    return _open(request, _in_memory)


def pack(
    source: str | PathLike[str],
    out: str | PathLike[str],
    *,
    resolution: int | None = None,
    channels: int | None = None,
    fit: str = "crop",
    split: str | None = None,
    kind: str | None = None,
    max_bad: str | float = 0.01,
    max_pixels: int | None = None,
    progress: Progress | None = None,
    resumable: bool = False,
    overwrite: bool = False,
) -> Dataset:
    """Like `open_dataset`, but decode to disk and write `out` (.fgd), whole or not at all; returns it opened.

    resumable: gather the images in a folder beside `out`, gone when `out` is written; if the process ends before, the
    same call goes on from there.

    overwrite: replace `out` where it is there; never where it is `source` by another name.

    Raises DataError as `open_dataset` does, and OutputError when `out` cannot be written.
    """
    with argument_errors():
        target = arguments.path(out, "out")
    packed.check_target(target, overwrite=overwrite, sources=[source_path(source)])
    request = Request(
        path=source_path(source),
        resolution=resolution,
        channels=channels,
        fit=fit,
        split=split,
        kind=kind,
        max_bad=max_bad,
        max_pixels=max_pixels,
        progress=progress,
    )
    beside = target.resolve().parent
    partial = beside / f".{target.name}.partial"
    with ExitStack() as stack:

        def on_disk(_total: int, resolution: int, channels: int, identity: Callable[[], str]) -> Spool:
            if not resumable:
                return spool.File(beside, resolution, channels)
            return stack.enter_context(spool.Resumable(partial, resolution, channels, identity()))

        packed.write(target, _open(request, on_disk))
    if resumable:
        shutil.rmtree(partial, ignore_errors=True)
    return packed.read(target)


Make = Callable[[int, int, int, Callable[[], str]], Spool]
"""make(total, resolution, channels, identity) -> where the images gather; identity() says what they are"""


def _in_memory(total: int, resolution: int, channels: int, _identity: Callable[[], str]) -> Spool:
    return spool.Memory(total, resolution, channels)


def _open(request: Request, make: Make) -> Dataset:
    path = request.path
    if packed.matches(path) and (path.is_file() or not path.exists()):
        return _open_packed(request, make)
    kind, module = sources.find(path, request.kind)
    everything = module.read(path)
    passed = passed_over.told(everything.passed, len(everything))
    if passed and len(everything):
        everything = replace(everything, notes=(passed, *everything.notes))
    images = sources.choose_split(path, everything, request.split)
    if not len(images):
        raise DataError(
            f"{path} holds no images: none of its files ends in .png, .jpg, .webp or another suffix that PIL reads"
            + "".join(f"; {note}" for note in (passed, *images.notes) if note)
        )
    found = ingest.survey(
        images, request.resolution, request.channels, request.fit, request.progress, request.max_pixels
    )
    if not len(found.rows):
        _check_bad(path, found.bad, len(images), request.max_bad, all_bad=True)
    candidates = images.take(found.rows)
    decoded = make(
        len(candidates),
        found.resolution,
        found.channels,
        lambda: _identity(request, kind, candidates, found.resolution, found.channels),
    )
    load = ingest.load_row(candidates, found.resolution, found.channels, request.fit, request.max_pixels)
    ingest.decode_all(load, len(candidates), decoded, request.progress)
    # Judged only now, so that the message has the whole count and the next try with it succeeds.
    bad = sorted([*found.bad, *decoded.bad.values()], key=lambda image: names.path_key(image.name))
    _check_bad(path, bad, len(images), request.max_bad, all_bad=not decoded.count)
    kept = np.delete(np.arange(len(candidates)), list(decoded.bad))
    return _assemble(request, kind, candidates.take(kept), bad, decoded, found.median)


def _identity(request: Request, kind: str, images: Images, resolution: int, channels: int) -> str:
    """SHA-256 (hex) of all that decides over the decoded pixels, the images themselves by name, size and time."""
    made = [
        __version__,
        PIL.__version__,
        kind,
        request.split,
        request.fit,
        resolution,
        channels,
        request.max_pixels,
    ]
    digest = hashlib.sha256(json.dumps(made).encode())
    for name in images.names:
        digest.update(f"{name}\n".encode())
    for file in images.files():
        try:
            status = file.stat()
        except OSError:
            continue  # unreadable, or of a name that is no text: a bad image then as now
        digest.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _check_bad(
    path: Path, bad: Sequence[BadImage], total: int, max_bad: str | float, *, all_bad: bool
) -> None:
    if not all_bad and len(bad) <= ingest.allowed_bad(max_bad, total):
        return
    first = "; ".join(str(image) for image in bad[:5]) + ("; ..." if len(bad) > 5 else "")
    mend = (
        "none is left"
        if all_bad
        else f"mend or remove them, or allow as many with {option('max_bad', len(bad))}"
    )
    raise DataError(f"{path}: {len(bad)} of {total} images cannot be used (limit {max_bad}): {first}; {mend}")


def _assemble(
    request: Request, kind: str, kept: Images, bad: list[BadImage], decoded: Spool, median: int | None
) -> Dataset:
    """The decoded images with their labels, attributes, names and notes."""
    classes, class_names, notes = labels(kept)
    attributes = None if kept.attributes is None else torch.from_numpy(kept.attributes)
    images = decoded.finish()
    size = images.shape[1]
    if request.resolution is None and median is not None:
        notes.append(size_note(size, median))
    if decoded.upscaled:
        notes.append(
            f"{decoded.upscaled} of {len(kept)} images are smaller than {size} pixels and were enlarged"
        )
    for tensor in (classes, attributes):
        if tensor is not None:
            decoded.digest.update(raw_bytes(tensor))
    shaped = {"crop": "centre crop", "pad": "padded to a square"}[request.fit]
    provenance = {
        "source": request.path.resolve().name,
        "kind": kind,
        "found": len(kept) + len(bad),
        "upscaled": decoded.upscaled,
        "resize": f"EXIF orientation, {shaped}, Lanczos; transparency on white unless 4 channels",
        "pillow": PIL.__version__,
    }
    if kept.passed:
        provenance["passed_over"] = dict(kept.passed)
    if kept.splits is not None:
        provenance["splits"] = sources.split_names(kept.splits)
    return Dataset(
        images=images,
        labels=classes,
        class_names=class_names,
        attributes=attributes,
        attribute_names=kept.attribute_names,
        content_hash=decoded.digest.hexdigest(),
        bad=tuple(bad),
        notes=(*kept.notes, *notes),
        provenance=provenance,
        name_bytes=encode_names(kept.names),
    )


def size_note(size: int, median: int) -> str:
    """Why images whose median side is `median` get `size` pixels, where no size was asked for."""
    if median == size:
        return f"size {size} is the median side of the images"
    if median > 1.5 * size:
        return (
            f"size {size} is the largest that is chosen unasked; the images' median side is {median}, and "
            f"{option('resolution')} takes more"
        )
    return f"size {size} is the power of two nearest to the images' median side of {median}"


def labels(kept: Images) -> tuple[torch.Tensor | None, tuple[str, ...], list[str]]:
    """int64 [N] and the class names; None when not every image has a class."""
    if kept.labels is None:
        return None, (), []
    loose = np.flatnonzero(kept.labels < 0)
    if len(loose):
        some = f"{len(loose)} of {len(kept)} images are in no class"
        return None, (), [f"no labels: {some}, such as {shown(kept.names[loose[0]])}"]
    counts = np.bincount(kept.labels, minlength=len(kept.class_names))
    empty = [shown(name) for name, count in zip(kept.class_names, counts, strict=True) if not count]
    more = ", ..." if len(empty) > 5 else ""
    notes = [f"no image is of class {', '.join(empty[:5])}{more}"] if empty else []
    return torch.from_numpy(kept.labels), kept.class_names, notes


def check_smaller(path: Path, dataset: Dataset, resolution: int | None) -> None:
    """DataError where `resolution` is more than the packed `dataset` of `path` has."""
    if resolution is not None and resolution > dataset.resolution:
        raise DataError(
            f"{path} was packed at size {dataset.resolution}, less than {resolution}: "
            f"pack the original images again with fastgan data pack --size {resolution}"
        )


def _open_packed(request: Request, make: Make) -> Dataset:
    """A packed set as it is, or at a lower resolution or with other channels."""
    path = request.path
    if request.kind is not None:
        raise DataError(f"{path} is a packed set, not of kind {request.kind}: leave {option('kind')} out")
    if request.split not in (None, "all"):
        raise DataError(
            f"{path} is packed and has no splits any more: pack its source with fastgan data pack --split "
            f"{request.split}"
        )
    if request.fit != "crop":
        raise DataError(
            f"{path} is packed and square already: pack its source with fastgan data pack --fit {request.fit}"
        )
    dataset = packed.opened(path, request.progress)
    resolution, channels = request.resolution or dataset.resolution, request.channels or dataset.channels
    if (resolution, channels) == (dataset.resolution, dataset.channels):
        return dataset
    check_smaller(path, dataset, resolution)
    decoded = make(
        len(dataset),
        resolution,
        channels,
        lambda: f"{__version__} {PIL.__version__} {dataset.content_hash} {resolution} {channels}",
    )
    ingest.decode_all(
        lambda index: decode.decode(dataset.images[index].numpy(), resolution, channels),
        len(dataset),
        decoded,
        request.progress,
    )
    for tensor in (dataset.labels, dataset.attributes):
        if tensor is not None:
            decoded.digest.update(raw_bytes(tensor))
    return replace(
        dataset,
        images=decoded.finish(),
        content_hash=decoded.digest.hexdigest(),
        provenance={**dataset.provenance, "resampled_from": dataset.resolution},
    )
