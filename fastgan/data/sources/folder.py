"""A folder of images, searched recursively; its immediate subfolders are the classes."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from fastgan.data.decode import suffixes
from fastgan.data.sources import Item, is_hidden, with_classes
from fastgan.errors import DataError

DESCRIBES = "a folder of images"


def matches(path: Path) -> bool:
    """Whether `path` is a folder."""
    return path.is_dir()


def items(path: Path) -> Iterator[Item]:
    """Every file with an image's suffix below `path`; links to folders are followed, each folder once."""
    wanted = suffixes()
    seen: set[tuple[int, int]] = set()
    files = []

    def fail(error: OSError) -> None:
        raise DataError(f"cannot list {error.filename}: {error.strerror}") from error

    for folder, subfolders, names in os.walk(path, followlinks=True, onerror=fail):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders.sort()
        for name in names:
            full = Path(folder, name)
            inside = full.relative_to(path).as_posix()
            if full.suffix.lower() in wanted and not is_hidden(inside):
                files.append((inside, partial(_open, full)))
    yield from with_classes(files)


def _open(path: Path) -> BinaryIO:
    return open(path, "rb")
