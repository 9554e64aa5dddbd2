"""Where decoded images gather, in order: in memory, in a file without a name, or in one that outlives the process."""

import hashlib
import json
import math
import os
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypedDict

import numpy as np
import torch

from fastgan.data.dataset import BadImage
from fastgan.data.memory import physical_memory
from fastgan.documents import parse_json
from fastgan.errors import DataError, DocumentError, OutputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Spool(ABC):
    """Takes the results for items 0, 1, 2 ... one after the other; each is an image or the reason why it is none."""

    def __init__(self, resolution: int, channels: int) -> None:
        self.shape = (resolution, resolution, channels)
        self.done = 0
        self.bad: dict[int, BadImage] = {}  # item -> what is wrong with it
        self.upscaled = 0
        self.digest: Any = hashlib.sha256()  # of the pixel bytes

    def add(self, result: tuple[np.ndarray, int] | BadImage) -> None:
        """The next item: (uint8 [S, S, C], side before resizing), or why not."""
        if isinstance(result, BadImage):
            self.bad[self.done] = result
        else:
            pixels, side = np.ascontiguousarray(result[0]), result[1]
            self.digest.update(pixels.data)
            self._store(pixels)
            self.upscaled += side < self.shape[0]
        self.done += 1

    @property
    def count(self) -> int:
        """How many images there are."""
        return self.done - len(self.bad)

    @abstractmethod
    def finish(self) -> torch.Tensor:
        """The images, uint8 [count, S, S, C]."""

    @abstractmethod
    def _store(self, pixels: np.ndarray) -> None:
        """Keep an image, uint8 [S, S, C]."""


class Memory(Spool):
    """Gathers images in RAM."""

    def __init__(self, total: int, resolution: int, channels: int) -> None:
        super().__init__(resolution, channels)
        needed = total * resolution * resolution * channels
        if needed > physical_memory() // 2:
            raise DataError(
                f"decoded, these {total} images take {needed / 1e9:.1f} GB, more than half of the memory here: "
                "pack them first (fastgan data pack SOURCE -o FILE.fgd) and use the packed file"
            )
        self._images = torch.empty(total, *self.shape, dtype=torch.uint8)
        self._view = self._images.numpy()

    def finish(self) -> torch.Tensor:
        """The part that was filled."""
        return self._images[: self.count]

    def _store(self, pixels: np.ndarray) -> None:
        self._view[self.count] = pixels


class File(Spool):
    """Gathers images in a file without a name: it is gone when the process is, however that ends."""

    def __init__(self, folder: Path, resolution: int, channels: int) -> None:
        super().__init__(resolution, channels)
        self._folder = folder
        with self._told():
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self._open()

    def finish(self) -> torch.Tensor:
        """A private map of the file."""
        with self._file as file:
            with self._told():
                file.flush()
            if self.count == 0:
                return torch.empty(0, *self.shape, dtype=torch.uint8)
            return torch.from_numpy(np.memmap(file, np.uint8, mode="c", shape=(self.count, *self.shape)))

    def _open(self) -> BinaryIO:
        return tempfile.TemporaryFile(dir=self._folder)

    def _store(self, pixels: np.ndarray) -> None:
        # Written, not stored through a map: a full disk is then an error that can be told, not a bus error.
        with self._told():
            self._file.write(pixels.data)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"cannot write in {self._folder}: {error.strerror or error}") from error


class _Note(TypedDict):
    """A line of the journal."""

    done: int
    upscaled: int
    bad: list[tuple[int, str, str]]


class Resumable(File):
    """Gathers images in a folder with a journal, and goes on where a killed process stopped.

    The folder holds `pixels`, the raw images, and `journal`, JSON lines: first what the images are (`identity`: source,
    settings, versions), then after every few seconds how far it came. Pixels reach the disk before the line that counts
    them, so that whatever lies behind the last whole line is thrown away and made again; what lies before it is hashed
    again as if it had just been decoded.
    """

    SECONDS = 10.0
    """Between two lines of the journal: what a kill may cost"""

    def __init__(self, folder: Path, resolution: int, channels: int, identity: str) -> None:
        self._identity = identity
        self._saved, self._bad_saved = time.monotonic(), 0
        super().__init__(folder, resolution, channels)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Note how far it came."""
        with self._told(), self._journal:
            if not self._file.closed:
                with self._file:
                    self._note()

    def add(self, result: tuple[np.ndarray, int] | BadImage) -> None:
        """The next item; every few seconds also a note of it."""
        super().add(result)
        if time.monotonic() - self._saved >= self.SECONDS:
            self._note()

    def finish(self) -> torch.Tensor:
        """Note that all is there; then a private map of the file."""
        self._note()
        return super().finish()

    def _open(self) -> BinaryIO:
        self._journal = open(self._folder / "journal", "a+", encoding="utf-8")  # noqa: SIM115 (__exit__ closes it)
        if fcntl is not None:
            try:
                fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(
                    f"another process is packing into {self._folder}: wait for it or stop it"
                ) from None
        pixels = open(self._folder / "pixels", "a+b")  # noqa: SIM115 (finish or __exit__ closes it)
        lines = self._whole_lines()
        if not (self._is_same(lines) and self._restore(lines[1:], pixels)):
            self._journal.truncate(0)
            pixels.truncate(0)
            self._write(self._identity)
        return pixels

    def _whole_lines(self) -> list[str]:
        """The journal's lines; one that a kill cut short is removed."""
        self._journal.seek(0)
        text = self._journal.read()
        whole = text[: text.rfind("\n") + 1]
        self._journal.truncate(len(whole.encode()))
        return whole.splitlines()

    def _is_same(self, lines: list[str]) -> bool:
        try:
            return bool(lines) and parse_json(lines[0], str, "journal") == self._identity
        except DocumentError:
            return False

    def _restore(self, lines: list[str], pixels: BinaryIO) -> bool:
        """Take up what the journal says, unless it says nothing that can be or the pixels it counts are not there."""
        try:
            states = [parse_json(line, _Note, "journal") for line in lines]
        except DocumentError:
            return False
        bad = {index: BadImage(name, reason) for state in states for index, name, reason in state["bad"]}
        done = states[-1]["done"] if states else 0
        size = (done - len(bad)) * math.prod(self.shape)
        possible = done > 0 and size >= 0 and all(0 <= index < done for index in bad)
        if not possible or pixels.seek(0, os.SEEK_END) < size:
            return False
        pixels.truncate(size)
        pixels.seek(0)
        while piece := pixels.read(16 << 20):
            self.digest.update(piece)
        self.done, self.bad, self.upscaled = done, bad, states[-1]["upscaled"]
        self._bad_saved = len(bad)
        return True

    def _note(self) -> None:
        """Put on the disk what there is, then say so in the journal."""
        new = islice(self.bad.items(), self._bad_saved, None)
        line = {
            "done": self.done,
            "upscaled": self.upscaled,
            "bad": [[index, bad.name, bad.reason] for index, bad in new],
        }
        with self._told():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._write(line)
        self._saved, self._bad_saved = time.monotonic(), len(self.bad)

    def _write(self, line: Any) -> None:
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())
