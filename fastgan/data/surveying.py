"""What a source of images holds, from headers alone: what training needs to know before anything is decoded."""

from dataclasses import dataclass
from os import PathLike

from fastgan.data import ingest, opening, packed, passed_over, sources
from fastgan.data.dataset import BadImage, Progress
from fastgan.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a source holds."""

    count: int
    """Images that can be read, as far as their headers tell."""
    resolution: int
    """The side that they would have."""
    channels: int
    """1, 3 or 4."""
    median: int | None = None
    """The median side in pixels by which `resolution` was chosen; None where it was asked for, or is a packed set's."""
    class_names: tuple[str, ...] = ()
    attribute_names: tuple[str, ...] = ()
    bad: tuple[BadImage, ...] = ()
    notes: tuple[str, ...] = ()
    """What a user should know of how the source was read."""


def survey(
    source: str | PathLike[str],
    *,
    resolution: int | None = None,
    channels: int | None = None,
    fit: str = "crop",
    split: str | None = None,
    kind: str | None = None,
    max_pixels: int | None = None,
    progress: Progress | None = None,
) -> Found:
    """What `open_dataset` would find, as far as headers tell; arguments and errors as there."""
    request = opening.Request(
        path=opening.source_path(source),
        resolution=resolution,
        channels=channels,
        fit=fit,
        split=split,
        kind=kind,
        max_pixels=max_pixels,
    )
    path = request.path
    if packed.matches(path) and (path.is_file() or not path.exists()):
        return _packed(request)
    _, module = sources.find(path, kind)
    images = sources.choose_split(path, module.read(path), split)
    found = ingest.survey(images, resolution, channels, fit, progress, max_pixels)
    if not len(found.rows):
        over = passed_over.told(images.passed, 0) if images.passed else ""
        reason = f"; {over}" if over else f": give {sources.known_kinds()}"
        raise DataError(f"{path} holds no images that can be read{reason}")
    kept = images.take(found.rows)
    _, class_names, notes = opening.labels(kept)
    return Found(
        count=len(found.rows),
        resolution=found.resolution,
        channels=found.channels,
        median=found.median,
        class_names=class_names,
        attribute_names=kept.attribute_names,
        bad=tuple(found.bad),
        notes=(*kept.notes, *notes),
    )


def _packed(request: opening.Request) -> Found:
    dataset = opening.open_dataset(request.path, fit=request.fit, split=request.split, kind=request.kind)
    opening.check_smaller(request.path, dataset, request.resolution)
    return Found(
        count=len(dataset),
        resolution=request.resolution or dataset.resolution,
        channels=request.channels or dataset.channels,
        class_names=dataset.class_names,
        attribute_names=dataset.attribute_names,
    )
