"""Read regular files alone, up to a limit; write whole files and folders or none: temporary name, fsync, rename."""

import ctypes
import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any, TextIO, cast

from fastgan.errors import ConfigError, OutputError
from fastgan.naming import named
from fastgan.ownership import temporary_prefix
from fastgan.text import shown

DOCUMENT_BYTES = 256 << 20
"""Most bytes of a text document: JSON, TOML, CSV (dataset.json of a million images has some 40 MB)"""
IMAGE_BYTES = 512 << 20
"""Most bytes of one encoded image"""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def size_limit(default: int) -> int:
    """The most bytes of a file that is read whole: `default`, or FASTGAN_MAX_FILE where that is more.

    FASTGAN_MAX_FILE is a number of bytes, or one with KB, MB or GB. Raises ConfigError for anything else.
    """
    text = os.environ.get("FASTGAN_MAX_FILE", "")
    if not text:
        return default
    number = text.upper().removesuffix("B").strip()
    factor = {"K": 10**3, "M": 10**6, "G": 10**9}.get(number[-1:], 1)
    digits = number.rstrip("KMG").strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 16):
        raise ConfigError(
            f"FASTGAN_MAX_FILE={shown(text)} is no size: use a number of bytes, or one such as 2GB"
        )
    return max(default, int(digits) * factor)


def check_size(size: int, limit: int, where: str | os.PathLike[str]) -> None:
    """Raise OSError where a file or an archive's member has more than `limit` bytes (or FASTGAN_MAX_FILE)."""
    limit = size_limit(limit)
    if size <= limit:
        return
    reason = (
        f"has {size / 1e6:,.0f} MB, more than the {limit / 1e6:,.0f} MB that are read of such a file: set "
        f"FASTGAN_MAX_FILE={size // 10**6 + 1}MB if it is meant"
    )
    raise OSError(errno.EFBIG, reason, os.fspath(where))


def open_regular(path: str | os.PathLike[str], limit: int | None = None) -> BufferedReader:
    """Open a regular file for reading bytes. Never waits (a named pipe) and never reads without end (a device).

    limit: the most bytes that it may have; None: any. Raises OSError with a sentence for what is no regular file or
    larger, and with the operating system's words otherwise.
    """
    name = os.fspath(path)
    fd = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = _check_regular(fd, name)
        if limit is not None:
            check_size(status.st_size, limit, name)
        return cast(BufferedReader, os.fdopen(fd, "rb"))
    except BaseException:
        os.close(fd)
        raise


def open_append(path: str | os.PathLike[str]) -> TextIO:
    """Open a regular file, or a new one, for appending lines of UTF-8; OSError as `open_regular`, and never waits."""
    name = os.fspath(path)
    try:
        fd = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o666)
    except OSError as error:
        if error.errno != errno.ENXIO:  # a pipe that nobody reads
            raise
        raise OSError(errno.EINVAL, "is a named pipe, not a regular file", name) from None
    try:
        _check_regular(fd, name)
        return cast(TextIO, os.fdopen(fd, "a", encoding="utf-8", newline="\n"))
    except BaseException:
        os.close(fd)
        raise


def open_new(path: str | os.PathLike[str]) -> BufferedWriter:
    """Open a new file for writing bytes, in place of whatever has that name: a link is not followed, nor a pipe fed."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    return open(path, "xb")


def _check_regular(fd: int, name: str) -> os.stat_result:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise OSError(errno.EINVAL, f"is {kind}, not a regular file", name)
    return status


@contextmanager
def plain_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """A name of a regular file that is UTF-8, for libraries that open no others, while the context lasts.

    It is `path` itself where that will do. Files that the library looks for beside it are there too, unless the file's
    own name is the one that is no UTF-8. OSError as `open_regular`.
    """
    with open_regular(path):
        pass
    with plain_folder(os.path.dirname(os.fspath(path))) as folder:
        name = os.path.basename(os.fspath(path))
        if _is_utf8(name):
            yield os.path.join(folder, name)
            return
        with tempfile.TemporaryDirectory(prefix="fastgan.") as beside:
            link = os.path.join(beside, f"file{os.path.splitext(shown(name))[1]}")
            os.symlink(os.path.abspath(path), link)
            yield link


@contextmanager
def plain_folder(path: str | os.PathLike[str]) -> Iterator[str]:
    """The same of a folder: `path`, or a link to it of a plain name; "" stays the current one."""
    name = os.fspath(path)
    if _is_utf8(name):
        yield name
        return
    with tempfile.TemporaryDirectory(prefix="fastgan.") as beside:
        link = os.path.join(beside, "folder")
        os.symlink(os.path.abspath(name), link)
        yield link


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_bytes(path: str | os.PathLike[str], limit: int = DOCUMENT_BYTES) -> bytes:
    """All bytes of a regular file of at most `limit`; raises OSError as `open_regular`."""
    with open_regular(path, limit) as file:
        return file.read()


def read_text(path: str | os.PathLike[str], limit: int = DOCUMENT_BYTES) -> str:
    """The text (UTF-8, a byte order mark left out) of a regular file; OSError as `open_regular`, or ValueError."""
    return read_bytes(path, limit).decode("utf-8-sig")


def output_path(path: str | os.PathLike[str]) -> Path:
    """Where a file called `path` is to be written: links are followed, so that their target is replaced, not they.

    Raises OutputError for what is there and is no regular file (a device, a pipe, a folder).
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return target
    except OSError as error:
        raise OutputError(f"cannot write {shown(path)}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
        raise OutputError(f"cannot write {shown(path)}: it is {kind}; give the name of a file")
    return target


def check_output(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    sources: Iterable[str | os.PathLike[str]] = (),
    replaces: bytes | None = None,
) -> Path:
    """Fail before the work rather than after it: `output_path`, or OutputError where `path` may not be written.

    That is one of the `sources` by whatever name (another spelling, a link, a hard link), or a link into a folder that
    is one; a file that is there already, unless `overwrite`, or unless it is what an earlier call wrote: then the bytes
    `replaces` stand in its first 4 KiB; and a place where no file can be made.
    """
    target = output_path(path)
    if not target.exists():
        _check_parent(path, target)
        return target
    for source in sources:
        if _same(target, source) or (Path(path).is_symlink() and _within(target, source)):
            raise OutputError(f"{shown(path)} is {shown(source)}, which is being read: choose another name")
    if not overwrite and not (replaces and _starts_with(target, replaces)):
        raise OutputError(
            f"{shown(path)} is there already: choose another name, or give {named('overwrite')} to replace it"
        )
    _check_parent(path, target)
    return target


def _check_parent(path: str | os.PathLike[str], target: Path) -> None:
    parent = next(folder for folder in target.parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(
            f"{shown(path)} cannot be made: {shown(parent)} is not a folder that you may write to"
        )


def _same(target: Path, source: str | os.PathLike[str]) -> bool:
    try:
        return os.path.samefile(target, source)
    except (OSError, ValueError):  # a pattern of names, or not there
        return False


def _within(target: Path, source: str | os.PathLike[str]) -> bool:
    return os.path.isdir(source) and target.is_relative_to(os.path.realpath(source))


def _starts_with(target: Path, mark: bytes) -> bool:
    try:
        with open_regular(target) as file:
            return mark in file.read(4096)
    except OSError:
        return False


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _public(mode: int) -> int:
    """`mode` as the umask leaves it."""
    umask = os.umask(0)
    os.umask(umask)
    return mode & ~umask


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`, else removed.

    The suffix is kept, so that encoders which look at it (PIL, onnx) see the right one. A link stays, and what it
    points to is replaced; OutputError where something is there that is no regular file.
    """
    target = output_path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=target.parent, prefix=temporary_prefix(target.stem), suffix=target.suffix)
    os.close(fd)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(_public(0o666))  # mkstemp makes private files; ours are as public as any other
        _fsync(temporary)
        temporary.replace(target)
        _fsync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success its files are fsynced and it takes `path`'s name.

    An existing folder of that name is replaced only once the new one is whole.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=temporary_prefix(target.name)))
    try:
        yield temporary
        temporary.chmod(_public(0o777))
        for file in temporary.rglob("*"):
            file.chmod(_public(0o777 if file.is_dir() else 0o666))  # safetensors makes private files
            _fsync(file)
        _fsync(temporary)
        if target.exists():
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{temporary_prefix(target.name)}old-"))
            target.replace(old)
            temporary.replace(target)
            shutil.rmtree(old)
        else:
            temporary.replace(target)
        _fsync(target.parent)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` as indented JSON, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Wait until the names in a folder are on the platter; a system that cannot (Windows) has them there already."""
    if os.name == "posix":
        _fsync(Path(path))


def sync_files(folder: str | os.PathLike[str], files: Iterable[Path]) -> None:
    """Wait until `files`, all in `folder`, and their names are on the platter.

    On Linux by one syncfs(2): for thousands of small files it takes a tenth to a fortieth of an fsync each.
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None) if os.name == "posix" else None
    if syncfs is None:
        for file in files:
            with open(file, "rb+") as opened:
                os.fsync(opened.fileno())
        sync_folder(folder)
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), os.fspath(folder))
    finally:
        os.close(fd)


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Where statistics, downloads and measurements are kept between runs: FASTGAN_CACHE, else the user's own cache.

    It need not exist yet. Raises ConfigError where FASTGAN_CACHE names something that is no folder.
    """
    named = os.environ.get("FASTGAN_CACHE")
    if named:
        folder = Path(named)
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"FASTGAN_CACHE={shown(named)} is not a folder: name one, or unset it.")
        return folder
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastgan"
