"""A zip of images, laid out like a folder of images; read in place, never extracted."""

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from fastgan.data.decode import BadImageError, suffixes
from fastgan.data.sources import Item, is_hidden, with_classes
from fastgan.errors import DataError

DESCRIBES = "a .zip of images"
MAX_BYTES = 1 << 30
"""An entry that unpacks to more is refused: no image within the pixel limit needs it."""


def matches(path: Path) -> bool:
    """Whether `path` is called a zip, or is one."""
    return path.is_file() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path))


def items(path: Path) -> Iterator[Item]:
    """Every entry with an image's suffix; encrypted or oddly named ones are items that cannot be opened."""
    try:
        archive = zipfile.ZipFile(path)  # stays open as long as one of its items lives
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is not a readable zip ({error}): make or download it again") from error
    wanted = suffixes()
    yield from with_classes(
        (entry.filename, partial(_open, archive, entry))
        for entry in archive.infolist()
        if not entry.is_dir()
        and PurePosixPath(entry.filename).suffix.lower() in wanted
        and not is_hidden(entry.filename)
    )


def _open(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> BinaryIO:
    if entry.flag_bits & 1:
        raise BadImageError("encrypted")
    if entry.filename.startswith("/") or ".." in entry.filename.split("/"):
        raise BadImageError("its name points outside the zip")
    if entry.file_size > MAX_BYTES:
        raise BadImageError(f"unpacks to {entry.file_size} bytes, more than the limit of {MAX_BYTES}")
    try:
        return io.BytesIO(archive.read(entry))
    except MemoryError:
        raise
    except Exception as error:  # each compression has its own exceptions; any of them is the entry's fault
        raise BadImageError(f"damaged in the zip: {error}") from error
