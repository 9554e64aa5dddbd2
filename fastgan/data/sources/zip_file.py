"""A zip of images, laid out like a folder of images; read in place, never extracted."""

import io
import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from fastgan.data import annotations
from fastgan.data.decode import BadImageError, suffixes
from fastgan.data.sources import Images, by_folders, is_hidden
from fastgan.errors import DataError

DESCRIBES = "a .zip of images"
FALLBACK = True
MAX_BYTES = 1 << 30
"""An entry that unpacks to more is refused: no image within the pixel limit needs it."""


def matches(path: Path) -> bool:
    """Whether `path` is called a zip, or is one."""
    return path.is_file() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path))


def read(path: Path) -> Images:
    """Every entry with an image's suffix; encrypted or oddly named ones are images that cannot be opened."""
    images, archive = _listed(path)
    folder = _common_folder(archive)

    def text(name: str) -> bytes | None:
        try:
            return open_entry(archive, archive.getinfo(folder + name)).read()
        except KeyError:
            return None
        except BadImageError as error:
            raise DataError(f"{path}: {folder}{name} is {error}: make the zip again") from error

    return annotations.apply(images, path, text, folder)


def image_files(path: Path) -> Images:
    """`read` without labels and attributes from files."""
    return _listed(path)[0]


def _listed(path: Path) -> tuple[Images, zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)  # stays open as long as its images are wanted
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is not a readable zip ({error}): make or download it again") from error
    wanted = suffixes()
    found = {
        entry.filename: entry
        for entry in archive.infolist()
        if not entry.is_dir()
        and PurePosixPath(entry.filename).suffix.lower() in wanted
        and not is_hidden(entry.filename)
    }
    images = by_folders(found, lambda name: open_entry(archive, found[name]), lambda: (path,))
    return images, archive


def _common_folder(archive: zipfile.ZipFile) -> str:
    """`photos/` where everything in the zip lies below it, else nothing."""
    tops = {name.partition("/")[0] for name in archive.namelist() if not is_hidden(name)}
    below = all("/" in name for name in archive.namelist() if not is_hidden(name))
    return f"{tops.pop()}/" if len(tops) == 1 and below else ""


def open_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> BinaryIO:
    """The bytes of one entry, checked. Raises BadImageError."""
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
