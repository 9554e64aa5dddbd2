"""Rows of bytes in an open file, read as they are used and never mapped.

Where another program cuts a mapped file, the next access is a bus error, which ends the process without a word. Here it
is a DataError; so is a file that is written over, by its time of change. A file that is replaced by another of its name
stays whole for who has it open.
"""

import os
import threading
import weakref
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from fastgan.errors import DataError
from fastgan.machine import require_memory

_lock = threading.Lock()


class RowFile:
    """`count` rows of `row` uint8 numbers each, from the byte `offset` of a file on.

    same: tells whether what is in the file is still what was opened, by reading it; asked where the file has another
    time of change and its old size, so that a `touch` ends nothing. Any thread may read.
    """

    def __init__(
        self, file: BufferedReader, path: Path, offset: int, count: int, row: tuple[int, ...]
    ) -> None:
        """Keeps a descriptor of its own."""
        self.path, self.count, self.row = path, count, row
        self.same: Callable[[], bool] = lambda: False
        self._bytes = int(torch.Size(row).numel())
        self._offset = offset
        self._fd = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._fd)
        self.status = os.fstat(self._fd)

    def check(self) -> None:
        """Raise DataError where the file is no longer as it was opened."""
        now = os.fstat(self._fd)
        if (now.st_size, now.st_mtime_ns) == (self.status.st_size, self.status.st_mtime_ns):
            return
        if now.st_size == self.status.st_size:
            before, self.status = self.status, now  # from here on: what is written while this reads is seen
            if self.same():
                return
            self.status = before
        raise self._changed(f"{self.status.st_size:,} bytes before, {now.st_size:,} now")

    def read(self, start: int, stop: int, out: Tensor | None = None) -> Tensor:
        """Rows start .. stop, uint8 [stop - start, *row]; into `out` where that is given."""
        return self._filled(out, [(start, stop)])

    def take(self, rows: Tensor, out: Tensor | None = None) -> Tensor:
        """Rows by their numbers, int64 [n] -> uint8 [n, *row]; IndexError where there is none of a number."""
        numbers = rows.tolist()
        if numbers and not -self.count <= min(numbers) <= max(numbers) < self.count:
            raise IndexError(f"rows {min(numbers)} to {max(numbers)} of {self.count}")
        return self._filled(out, [(number % self.count, number % self.count + 1) for number in numbers])

    def _filled(self, out: Tensor | None, runs: list[tuple[int, int]]) -> Tensor:
        n = sum(stop - start for start, stop in runs)
        if out is None:
            require_memory(n * self._bytes, f"{n:,} images of {self.path}", "use smaller images, or fewer")
            out = torch.empty(n, *self.row, dtype=torch.uint8)
        content = out.view(-1).numpy().data
        at = 0
        for start, stop in runs:
            end = at + (stop - start) * self._bytes
            self._read_into(content[at:end], self._offset + start * self._bytes)
            at = end
        self.check()
        return out

    def _read_into(self, content: memoryview, offset: int) -> None:
        done = 0
        while done < len(content):
            try:
                got = _read_at(self._fd, content[done:], offset + done)
            except OSError as error:
                raise DataError(f"cannot read {self.path}: {error.strerror}") from error
            if not got:
                raise self._changed("it is shorter than before")
            done += got

    def _changed(self, how: str) -> DataError:
        return DataError(
            f"the data set {self.path} was written over or cut while it was read ({how}): restore it"
        )


def _read_at(fd: int, content: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(fd, [content], offset)
    with _lock:  # Windows, where a descriptor has one position for all
        os.lseek(fd, offset, os.SEEK_SET)
        got = os.read(fd, len(content))
    content[: len(got)] = got
    return len(got)


_FACTS = {
    getattr(torch.Tensor, name).__get__
    for name in (
        "shape",
        "dtype",
        "device",
        "ndim",
        "nbytes",
        "itemsize",
        "layout",
        "is_cuda",
        "requires_grad",
    )
} | {
    getattr(torch.Tensor, name)
    for name in ("__len__", "size", "dim", "numel", "element_size", "is_floating_point")
}


class FileImages(Tensor):
    """uint8 [N, H, W, C] that lie in a file: a tensor to whoever looks, of which only what is used is read.

    `images[3]`, `images[a:b]` and `images[rows]` read these rows; anything else reads the whole into memory first. They
    cannot be changed in place.
    """

    file: RowFile

    @staticmethod
    def __new__(cls, file: RowFile) -> Self:
        """A view of no memory; numbers come from the file alone."""
        made: Self = torch.Tensor._make_wrapper_subclass(cls, (file.count, *file.row), dtype=torch.uint8)
        made.file = file
        return made

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        """Its shape, and where it lies."""
        return f"FileImages({[*self.shape]}, {str(self.file.path)!r})"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Facts come from the shape, rows from the file."""
        with torch._C.DisableTorchFunctionSubclass():
            if func in _FACTS:
                return func(*args, **(kwargs or {}))
            if func is Tensor.__getitem__ and isinstance(args[0], cls):
                return _chosen(args[0].file, args[1])
            if isinstance(args[0], cls) and (func is Tensor.__setitem__ or _is_in_place(func.__name__)):
                raise TypeError(
                    "these images lie in a file and are read alone: change a copy, images.clone()"
                )
            args, kwargs = torch.utils._pytree.tree_map(_read, (args, kwargs or {}))
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """What does not come by way of Python functions."""
        args, kwargs = torch.utils._pytree.tree_map(_read, (args, kwargs or {}))
        return func(*args, **kwargs)


def _is_in_place(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__")


def _chosen(file: RowFile, key: Any) -> Tensor:
    if isinstance(key, int) and not isinstance(key, bool):
        return file.take(torch.tensor([key]))[0]
    if isinstance(key, slice):
        start, stop, step = key.indices(file.count)
        return file.read(start, max(stop, start)) if step == 1 else file.take(torch.arange(start, stop, step))
    if isinstance(key, Tensor) and key.ndim == 1 and not key.is_floating_point():
        return file.take(key.nonzero()[:, 0] if key.dtype in (torch.bool, torch.uint8) else key)
    return file.read(0, file.count)[key]


def _read(value: Any) -> Any:
    return value.file.read(0, value.file.count) if isinstance(value, FileImages) else value
