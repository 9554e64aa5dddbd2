"""Which packed sets have been compared with the hash made at packing: a large one is read for it once."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from fastgan.errors import OutputError
from fastgan.files import atomic_write, cache_folder

SMALL = 64 << 20
"""Bytes of a file that is compared every time: a tenth of a second"""


def is_known(path: Path, status: os.stat_result, content_hash: str) -> bool:
    """Whether the file of this `status` was found to be of `content_hash` before, and has not changed since."""
    return status.st_size > SMALL and _note(path, status, content_hash).is_file()


def remember(path: Path, status: os.stat_result, content_hash: str) -> None:
    """Keep that it is, where the cache folder can be written to; elsewhere it is compared again."""
    if status.st_size > SMALL:
        with suppress(OSError, OutputError), atomic_write(_note(path, status, content_hash)) as temporary:
            temporary.write_text(f"{os.path.realpath(path)}\n", encoding="utf-8", errors="surrogateescape")


def _note(path: Path, status: os.stat_result, content_hash: str) -> Path:
    """Named by the file, its size, its times of change (of which nobody can set the second) and the hash."""
    told = [
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        content_hash,
    ]
    name = os.fsencode(os.path.realpath(path)) + repr(told).encode()
    return cache_folder() / "verified" / hashlib.sha256(name).hexdigest()[:32]
