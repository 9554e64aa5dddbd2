"""A folder of images, searched recursively; its immediate subfolders are the classes.

`dataset.json` and `attributes.csv` in it give labels and attributes, see `beside`.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fastgan.data import beside, listing
from fastgan.data.names import is_sheet
from fastgan.data.sources import Images, by_folders
from fastgan.errors import DataError
from fastgan.files import IMAGE_BYTES, open_regular, read_bytes

DESCRIBES = "a folder of images"
FALLBACK = True


def matches(path: Path) -> bool:
    """Whether `path` is a folder."""
    return path.is_dir()


def first_image(path: Path) -> str | None:
    """One of the images that `read` finds, or None."""
    return next(
        (name for name in _names(path) if listing.is_image(name) and not _is_sheet(path / name)), None
    )


def _is_sheet(file: Path) -> bool:
    return is_sheet(file.name) and file.with_name(listing.GENERATED).exists()


def read(path: Path) -> Images:
    """Every file with an image's suffix below `path`; links to folders are followed, each folder once."""
    found = listing.sort_out(_names(path))

    def content(name: str) -> bytes:
        try:
            return read_bytes(path / name)
        except OSError as error:
            raise DataError(f"cannot read {path / name}: {error.strerror or error}") from error

    return beside.apply(_images(path, found), path, found.documents, content)


def image_files(path: Path) -> Images:
    """`read` without labels and attributes from files."""
    return _images(path, listing.sort_out(_names(path)))


def _images(path: Path, found: listing.Listing) -> Images:
    images = by_folders(found.images, lambda name: open_regular(path / name, IMAGE_BYTES), files=tuple)
    return replace(
        images,
        files=lambda: (path / name for name in sorted(found.images)),
        passed=found.passed,
        notes=(*found.notes(), *images.notes),
    )


def _names(path: Path) -> Iterator[str]:
    """Every file below `path`, by its name from there."""
    seen: set[tuple[int, int]] = set()

    def fail(error: OSError) -> None:
        raise DataError(f"cannot list {error.filename}: {error.strerror}") from error

    for folder, subfolders, names in os.walk(path, followlinks=True, onerror=fail):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders.sort()
        inside = Path(folder).relative_to(path).as_posix()
        for name in sorted(names):
            yield name if inside == "." else f"{inside}/{name}"
