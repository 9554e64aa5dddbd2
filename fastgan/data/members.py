"""Parts of archives, taken out within limits: a name and a size are claims, and so is the size of a compressed file.

A part in memory is small; a larger one lies in a temporary file without a name, so that many threads with large parts
need room on the disk and not in memory.
"""

import bz2
import gzip
import io
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from fastgan import extras
from fastgan.data.decode import BadImageError
from fastgan.errors import DataError, OutputError
from fastgan.files import IMAGE_BYTES, check_size, open_regular

IN_MEMORY = 32 << 20
"""Bytes of a part that are kept in memory"""
UNPACKED_BYTES = 1 << 30
"""Most bytes that a small compressed tar unpacks to; a large one: RATIO times its own"""
RATIO = 20
PADDING = 1 << 16
"""Zeros that may follow a gzip, as tapes add them"""
_HEADER_BYTES = 1 << 20
_PIECE = 1 << 20


def take(file: BinaryIO, size: int, where: str, *, limit: int = IMAGE_BYTES, piece: int = _PIECE) -> BinaryIO:
    """The next `size` bytes of `file` as a file of their own, at its start.

    piece: how much is asked for at once, for readers that unpack far more than they are asked for. Raises OSError as
    `files.check_size`, BadImageError where there are fewer bytes.
    """
    check_size(size, limit, where)
    taken = io.BytesIO() if size <= IN_MEMORY else _temporary()
    left = size
    while left > 0:
        content = file.read(min(piece, left))
        if not content:
            taken.close()
            raise BadImageError(f"cut short: {size - left} of {size} bytes are there")
        _write(taken, content)
        left -= len(content)
    taken.seek(0)
    return taken


def open_plain(path: Path) -> tuple[BinaryIO, bool]:
    """A tar as it is, or unpacked into a temporary file where it is compressed (gzip, bzip2, zstd); whether it was.

    Raises OSError, EOFError and zlib.error for what cannot be read or is damaged, OutputError where the temporary
    folder is full, DataError where it unpacks to more than any set of images would.
    """
    file = open_regular(path)
    stream = _decompressed(path, file)
    if stream is file:
        return file, False
    limit = max(UNPACKED_BYTES, RATIO * os.fstat(file.fileno()).st_size)
    plain, size = _temporary(), 0
    with file, stream:
        while content := stream.read(_PIECE):  # to the very end, where gzip compares its checksum
            size += len(content)
            check_size(size, limit, path)
            _write(plain, content)
    plain.seek(0)
    return plain, True


def first_name(path: Path) -> str | None:
    """The name of the first member of a tar, compressed or not; None for anything else."""
    try:
        with open_regular(path) as file, _decompressed(path, file) as stream:
            head = io.BytesIO(stream.read(4 * tarfile.BLOCKSIZE))
        with open_tar(head) as archive:
            member = next_member(archive)
    except Exception:  # damaged compressions have exceptions of their own
        return None
    return None if member is None else member.name


def reason(error: Exception) -> str:
    """What an exception says, without the error's number and the path that the message names already."""
    return getattr(error, "strerror", None) or str(error)


@contextmanager
def open_tar(file: BinaryIO) -> Iterator[tarfile.TarFile]:
    """The plain tar in `file`, its headers read within limits: by `next_member`; contents are read from `file`."""
    with _told():  # tarfile reads the first header at once
        archive = tarfile.open(fileobj=cast(BinaryIO, _Headers(file)), mode="r:")  # noqa: SIM115
    with archive:
        yield archive


def next_member(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    """The next member; None at the end. Raises tarfile.TarError for a damaged header, whatever is wrong with it."""
    with _told():
        member = archive.next()
    archive.members = []  # type: ignore[attr-defined]  # else tarfile keeps an object for every file it has seen
    return member


@contextmanager
def _told() -> Iterator[None]:
    """Whatever is wrong with a header is a TarError: hostile numbers end in a ValueError or worse."""
    try:
        yield
    except (tarfile.TarError, OSError, MemoryError):
        raise
    except Exception as error:
        raise tarfile.ReadError("a header is damaged") from error


class _Headers:
    """A file as tarfile reads headers from it: none is large, and no number in one is long.

    tarfile reads an extended header whole, and searches it in a time that grows with the square of a row of digits.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > _HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        content = self._file.read(size)
        if size > tarfile.BLOCKSIZE and re.search(rb"\d{40}", content):
            raise tarfile.ReadError("a header with a number of more than 40 digits")
        return content


def _decompressed(path: Path, file: BinaryIO) -> BinaryIO:
    """`file` itself where its first bytes tell of no compression, else what it unpacks to."""
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return open_gzip(file)
    if magic.startswith(b"BZh"):
        return cast(BinaryIO, bz2.BZ2File(file))
    if magic == b"\x28\xb5\x2f\xfd":
        return _zstd(path, file)
    return file


def open_gzip(file: BinaryIO) -> BinaryIO:
    """What the gzip in `file` unpacks to. Raises EOFError where more than PADDING zeros stand at its end.

    Python's reader steps over such zeros, as of a file that was made longer, a byte at a time: minutes a gigabyte.
    """
    size = file.seek(0, os.SEEK_END)
    if size > PADDING:
        file.seek(-PADDING, os.SEEK_END)
        if not any(file.read(PADDING)):
            raise EOFError("it ends in zeros where its checksum should be")
    file.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file))


def _zstd(path: Path, file: BinaryIO) -> BinaryIO:
    try:
        import pyarrow
    except ImportError as error:
        raise DataError(f"{path} is packed with zstd: {extras.install_line('parquet')} reads it") from error
    return pyarrow.CompressedInputStream(file, "zstd")


def _temporary() -> BinaryIO:
    try:
        return cast(BinaryIO, tempfile.TemporaryFile())
    except OSError as error:
        raise _full(error) from error


def _write(file: BinaryIO, content: bytes) -> None:
    try:
        file.write(content)
    except OSError as error:
        raise _full(error) from error


def _full(error: OSError) -> OutputError:
    return OutputError(
        f"cannot unpack into the temporary folder {tempfile.gettempdir()}: {error.strerror or error}; free some space, "
        "or name another folder in TMPDIR"
    )
