"""A zip of images, laid out like a folder of images; read in place, never extracted."""

import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from fastgan.data import beside, listing, members
from fastgan.data.decode import BadImageError
from fastgan.data.names import separated
from fastgan.data.sources import Images, by_folders
from fastgan.errors import DataError, OutputError
from fastgan.files import DOCUMENT_BYTES, IMAGE_BYTES, check_size, open_regular

DESCRIBES = "a .zip of images"
FALLBACK = True
_IS_UTF8 = 0x800
_STREAMS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compressions that unpack no more than they are asked for"""


def matches(path: Path) -> bool:
    """Whether `path` is called a zip, or is one."""
    return path.is_file() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path))


def read(path: Path) -> Images:
    """Every entry with an image's suffix; encrypted or oddly named ones are images that cannot be opened."""
    archive, entries, found = _listed(path)

    def content(name: str) -> bytes:
        try:
            return open_entry(archive, entries[name], DOCUMENT_BYTES).read()
        except BadImageError as error:
            raise DataError(f"{path}: {name} is {error}: make the zip again") from error
        except OSError as error:
            raise DataError(f"{path}: {name} {error.strerror or error}") from error

    return beside.apply(_images(path, archive, entries, found), path, found.documents, content)


def image_files(path: Path) -> Images:
    """`read` without labels and attributes from files."""
    return _images(path, *_listed(path))


def _images(
    path: Path, archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], found: listing.Listing
) -> Images:
    images = by_folders(found.images, lambda name: open_entry(archive, entries[name]), lambda: (path,))
    notes = [*found.notes(), *images.notes]
    total = sum(not _is_folder(entry) for entry in archive.infolist())
    if total > len(entries):
        notes.append(
            f"{total - len(entries)} names are in the zip more than once: the last of each was taken"
        )
    return replace(images, passed=found.passed, notes=tuple(notes))


def _listed(path: Path) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo], listing.Listing]:
    """The open zip, its files by name, and what they are."""
    try:
        open_regular(path).close()
        archive = zipfile.ZipFile(path)  # stays open as long as its images are wanted
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is not a readable zip ({error}): make or download it again") from error
    entries = {_name(entry): entry for entry in archive.infolist() if not _is_folder(entry)}
    return archive, entries, listing.sort_out(entries)


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith(("/", "\\"))


def _name(entry: zipfile.ZipInfo) -> str:
    r"""An entry's name with / between folders, in whose place some programs on Windows write \.

    Names of other letters are UTF-8 where they read as such, even without the flag that says so: macOS leaves it out.
    """
    name = entry.filename
    if not entry.flag_bits & _IS_UTF8 and not name.isascii():
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return separated(name)


def open_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int = IMAGE_BYTES) -> BinaryIO:
    """The bytes of one entry, checked. Raises BadImageError, and OSError for one of more than `limit` bytes."""
    if entry.flag_bits & 1:
        raise BadImageError("encrypted")
    name = entry.filename.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/"):
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
