"""Open any source as a `Dataset`, or pack it into a file."""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image

from fastgan.data import decode, ingest, packed, sources
from fastgan.data.dataset import BadImage, Dataset, check_geometry, encode_names, raw_bytes
from fastgan.data.ingest import Progress
from fastgan.data.sources import Item
from fastgan.errors import DataError


def open_dataset(
    source: str | PathLike[str],
    *,
    resolution: int | None = None,
    channels: int | None = None,
    max_bad: str | float = 0.01,
    progress: Progress | None = None,
) -> Dataset:
    """The images of `source` (a folder, a zip, a packed .fgd) as a Dataset, decoded by the rules of `decode`.

    resolution: side of the square images; None: a packed set's own, else the largest power of two <= the median
    short side, from 8 to 256. channels: 1, 3 or 4; None: a packed set's own, else 1 when all images are grey, or 3.
    max_bad: how many unreadable images are skipped: a share (0.01, "1%") or a count (5, "5"); the skipped are in
    `Dataset.bad`. progress: called as progress(stage, done, total).

    Raises DataError: no such source, no images, more bad ones than allowed, too large for memory.
    """
    return _open(Path(source), resolution, channels, max_bad, progress, spool=None)


def pack(
    source: str | PathLike[str],
    out: str | PathLike[str],
    *,
    resolution: int | None = None,
    channels: int | None = None,
    max_bad: str | float = 0.01,
    progress: Progress | None = None,
) -> Dataset:
    """Like `open_dataset`, but decode to disk and write `out` (.fgd), whole or not at all; returns it opened.

    Raises DataError as `open_dataset` does, and OutputError when `out` cannot be written.
    """
    packed.check_target(out)
    target = Path(out)
    dataset = _open(Path(source), resolution, channels, max_bad, progress, spool=target.resolve().parent)
    packed.write(target, dataset)
    return packed.read(target)


def _open(
    path: Path,
    resolution: int | None,
    channels: int | None,
    max_bad: str | float,
    progress: Progress | None,
    spool: Path | None,
) -> Dataset:
    check_geometry(resolution, channels)
    ingest.allowed_bad(max_bad, 0)  # a nonsensical limit is an error before the work, not after
    if packed.matches(path) and (path.is_file() or not path.exists()):
        dataset = packed.read(path)
        wanted = (resolution or dataset.resolution, channels or dataset.channels)
        if wanted == (dataset.resolution, dataset.channels):
            return dataset
        return _resample(path, dataset, *wanted, progress, spool)
    kind = sources.find(path)
    items = list(kind.items(path))
    if not items:
        raise DataError(
            f"{path} holds no images: none of its files ends in .png, .jpg, .webp or another suffix that PIL reads"
        )
    found = ingest.survey(items, resolution, channels, progress)
    if not found.items:
        _check_bad(path, found.bad, len(items), max_bad, all_bad=True)
    decoded = ingest.decode_all(
        found.items,
        ingest.load_item(found.resolution, found.channels),
        resolution=found.resolution,
        channels=found.channels,
        folder=spool,
        progress=progress,
    )
    # Judged only now, so that the message has the whole count and the next try with it succeeds.
    bad = sorted([*found.bad, *decoded.bad], key=lambda image: sources.path_key(image.name))
    _check_bad(path, bad, len(items), max_bad, all_bad=not decoded.kept)
    kept = [found.items[index] for index in decoded.kept]
    return _assemble(path, kind.__name__.rpartition(".")[2], kept, bad, decoded, resolution is None)


def _check_bad(
    path: Path, bad: Sequence[BadImage], total: int, max_bad: str | float, *, all_bad: bool
) -> None:
    if not all_bad and len(bad) <= ingest.allowed_bad(max_bad, total):
        return
    first = "; ".join(str(image) for image in bad[:5]) + ("; ..." if len(bad) > 5 else "")
    mend = "none is left" if all_bad else f"mend or remove them, or allow as many with --max-bad {len(bad)}"
    raise DataError(f"{path}: {len(bad)} of {total} images cannot be used (limit {max_bad}): {first}; {mend}")


def _assemble(
    path: Path, kind: str, kept: list[Item], bad: list[BadImage], decoded: ingest.Decoded, chosen: bool
) -> Dataset:
    """Labels, names and notes for the decoded images."""
    labels, class_names, notes = _labels(kept)
    size = decoded.images.shape[1]
    if chosen:
        notes.append(f"size {size} was chosen from the median short side of the images")
    if decoded.upscaled:
        notes.append(
            f"{decoded.upscaled} of {len(kept)} images are smaller than {size} pixels and were enlarged"
        )
    if labels is not None:
        decoded.digest.update(raw_bytes(labels))
    return Dataset(
        images=decoded.images,
        labels=labels,
        class_names=class_names,
        content_hash=decoded.digest.hexdigest(),
        bad=tuple(bad),
        notes=tuple(notes),
        provenance={
            "source": path.resolve().name,
            "kind": kind,
            "found": len(kept) + len(bad),
            "upscaled": decoded.upscaled,
            "resize": "EXIF orientation, centre crop, Lanczos; transparency on white unless 4 channels",
            "pillow": PIL.__version__,
        },
        name_bytes=encode_names([item.name for item in kept]),
    )


def _labels(kept: list[Item]) -> tuple[torch.Tensor | None, tuple[str, ...], list[str]]:
    """int64 [N] and the class names in natural order; None when not every image has a class."""
    given = [item.label for item in kept if item.label is not None]
    class_names = tuple(sorted(set(given), key=sources.natural_key))
    if not given:
        return None, (), []
    if len(given) < len(kept):
        loose = len(kept) - len(given)
        return (
            None,
            (),
            [f"no labels: {loose} images lie beside the {len(class_names)} class folders, not in one"],
        )
    index = {name: position for position, name in enumerate(class_names)}
    return torch.tensor([index[name] for name in given]), class_names, []


def _resample(
    path: Path,
    dataset: Dataset,
    resolution: int,
    channels: int,
    progress: Progress | None,
    spool: Path | None,
) -> Dataset:
    """A packed set at a lower resolution or with other channels."""
    if resolution > dataset.resolution:
        raise DataError(
            f"{path} was packed at size {dataset.resolution}, less than {resolution}: "
            f"pack the original images again with --size {resolution}"
        )
    pixels = dataset.images.numpy()

    def load(index: int) -> tuple[np.ndarray, int]:
        row = pixels[index, :, :, 0] if dataset.channels == 1 else pixels[index]
        return decode.fit(Image.fromarray(row), resolution, channels), dataset.resolution

    decoded = ingest.decode_all(
        range(len(dataset)), load, resolution=resolution, channels=channels, folder=spool, progress=progress
    )
    for tensor in (dataset.labels, dataset.attributes):
        if tensor is not None:
            decoded.digest.update(raw_bytes(tensor))
    return replace(
        dataset,
        images=decoded.images,
        content_hash=decoded.digest.hexdigest(),
        provenance={**dataset.provenance, "resampled_from": dataset.resolution},
    )
