"""A folder of images, searched recursively; its immediate subfolders are the classes.

`dataset.json` and `attributes.csv` in it give labels and attributes, see `annotations`.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fastgan.data import annotations
from fastgan.data.decode import suffixes
from fastgan.data.sources import Images, by_folders, is_hidden
from fastgan.errors import DataError
from fastgan.files import IMAGE_BYTES, open_regular, read_bytes

DESCRIBES = "a folder of images"
FALLBACK = True


def matches(path: Path) -> bool:
    """Whether `path` is a folder."""
    return path.is_dir()


def read(path: Path) -> Images:
    """Every file with an image's suffix below `path`; links to folders are followed, each folder once."""
    return annotations.apply(image_files(path), path, lambda name: _text(path / name))


def image_files(path: Path) -> Images:
    """`read` without labels and attributes from files."""
    images = by_folders(_names(path), lambda name: open_regular(path / name, IMAGE_BYTES), files=tuple)
    return replace(images, files=lambda: (path / name for name in images.names))


def _names(path: Path) -> Iterator[str]:
    wanted = suffixes()
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
        for name in names:
            full = name if inside == "." else f"{inside}/{name}"
            if os.path.splitext(name)[1].lower() in wanted and not is_hidden(full):
                yield full


def _text(path: Path) -> bytes | None:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
