"""Write whole files and folders or none: temporary name, fsync, rename."""

import ctypes
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`, else removed.

    The suffix is kept, so that encoders which look at it (PIL, onnx) see the right one.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix)
    os.close(fd)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; ours are as public as any other
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
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        for file in temporary.rglob("*"):
            _fsync(file)
        _fsync(temporary)
        if target.exists():
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
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
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Where statistics, downloads and measurements are kept between runs: FASTGAN_CACHE, else the user's own cache.

    It need not exist yet.
    """
    named = os.environ.get("FASTGAN_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastgan"
