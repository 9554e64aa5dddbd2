"""A zip of images, laid out like a folder of images; read in place, never extracted."""

import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from fastgan.data import annotations, members
from fastgan.data.decode import BadImageError, suffixes
from fastgan.data.sources import Images, by_folders, is_hidden
from fastgan.errors import DataError, OutputError
from fastgan.files import DOCUMENT_BYTES, IMAGE_BYTES, check_size, open_regular

DESCRIBES = "a .zip of images"
FALLBACK = True
_STREAMS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compressions that unpack no more than they are asked for"""


def matches(path: Path) -> bool:
    """Whether `path` is called a zip, or is one."""
    return path.is_file() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path))


def read(path: Path) -> Images:
    """Every entry with an image's suffix; encrypted or oddly named ones are images that cannot be opened."""
    images, archive = _listed(path)
    folder = _common_folder(archive)

    def text(name: str) -> bytes | None:
        try:
            return open_entry(archive, archive.getinfo(folder + name), DOCUMENT_BYTES).read()
        except KeyError:
            return None
        except BadImageError as error:
            raise DataError(f"{path}: {folder}{name} is {error}: make the zip again") from error
        except OSError as error:
            raise DataError(f"{path}: {folder}{name} {error.strerror or error}") from error

    return annotations.apply(images, path, text, folder)


def image_files(path: Path) -> Images:
    """`read` without labels and attributes from files."""
    return _listed(path)[0]


def _listed(path: Path) -> tuple[Images, zipfile.ZipFile]:
    try:
        open_regular(path).close()
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


def open_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int = IMAGE_BYTES) -> BinaryIO:
    """The bytes of one entry, checked. Raises BadImageError, and OSError for one of more than `limit` bytes."""
    if entry.flag_bits & 1:
        raise BadImageError("encrypted")
    if entry.filename.startswith("/") or ".." in entry.filename.split("/"):
        raise BadImageError("its name points outside the zip")
    check_size(entry.file_size, limit, entry.filename)
    piece = 1 << 20 if entry.compress_type in _STREAMS else 1 << 12
    try:
        with archive.open(entry) as member:
            return members.take(
                cast(BinaryIO, member), entry.file_size, entry.filename, limit=limit, piece=piece
            )
    except (MemoryError, OutputError):
        raise
    except Exception as error:  # each compression has its own exceptions; any of them is the entry's fault
        raise BadImageError(f"damaged in the zip: {error}") from error
