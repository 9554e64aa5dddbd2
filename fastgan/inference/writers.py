"""Where images end: a file each, or files of many. Each file is whole or absent, whatever happens.

A writer knows what is on disk already (`wanted`), takes images from several threads at once (`take`) and puts them in
order to where they belong (`write`, one thread). What it needs of the disk it asks through `disk_errors`.
"""

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgan.errors import OutputError
from fastgan.files import atomic_write, open_new, sha256_file, sync_files, sync_folder
from fastgan.inference.archives import ARCHIVES, KINDS, Archive, Contents, HashingFile, Made
from fastgan.inference.encoders import ENCODERS, Encoder
from fastgan.inference.folder import disk_errors
from fastgan.inference.manifest import (
    SYNC,
    Entry,
    Journal,
    manifest_name,
    manifests,
    newest,
    read_entries,
    rewrite,
)
from fastgan.inference.plan import Places, Plan
from fastgan.text import shown

FORMATS = (*ENCODERS, *ARCHIVES)
_IMAGE = re.compile(r"seed(\d{8,20})\.(png|jpg|webp)")


def image_name(seed: int, suffix: str) -> str:
    """File name of a seed's image."""
    return f"seed{seed:08d}.{suffix}"


def seed_of(name: str) -> int | None:
    """The inverse of `image_name`; None for the name of anything else."""
    match = _IMAGE.fullmatch(name)
    return int(match[1]) if match and image_name(int(match[1]), match[2]) == name else None


def archive_name(name: str, unit: int, units: int) -> str:
    """File name of a unit of many images: images-00003-of-00063.tar, or images.npz where all are in one."""
    number = "" if name == "npz" and units == 1 else f"-{unit:05d}-of-{units:05d}"
    return f"images{number}.{ARCHIVES[name]}"


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write one uint8 [H, W, C] as a PNG, durably."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(ENCODERS["png"].encode(image))


def _check_regular(file: os.DirEntry[str]) -> None:
    if not file.is_file(follow_symlinks=False):
        raise OutputError(
            f"{shown(file.path)} is a link or no regular file: move it away, or choose another folder"
        )


def _part(path: Path) -> Path:
    """What a file is called until it is whole; a killed process leaves it, and the next takes it over."""
    return path.with_name(f".{path.name}.part")


class Writer(ABC):
    """Puts a plan's images into a folder and keeps its manifest."""

    wanted: NDArray[np.bool_]
    """Of the plan's span, what is not there yet: bool [len(span)]."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self._places = Places(plan.seeds)
        self._manifest = folder / manifest_name(plan.shard)
        self.wanted = np.ones(len(plan.span), bool)

    @abstractmethod
    def take(self, seed: int, image: NDArray[np.uint8]) -> tuple[Any, str]:
        """Encode uint8 [H, W, C]; what `write` needs of it, and its SHA-256. Called by several threads at once."""

    @abstractmethod
    def write(self, images: Sequence[Made]) -> None:
        """Put images on disk; they come in the order of their places."""

    @abstractmethod
    def close(self, *, finished: bool) -> None:
        """Put on the platter what is whole and drop the rest. finished: all images came."""

    def drop(self, seeds: Sequence[int]) -> None:  # noqa: B027  most have nothing to drop
        """Forget images that were taken and will not be written."""

    def _row(self, seed: int) -> int | None:
        """The row of `wanted` that a seed has; None where it is not this shard's."""
        place, span = self._places.of(seed), self.plan.span
        return place - span.start if place is not None and place in span else None


class ImageFiles(Writer):
    """A file an image: worker threads write them under temporary names, and the writer's thread renames them."""

    def __init__(self, folder: Path, plan: Plan, encoder: Encoder) -> None:
        super().__init__(folder, plan)
        self._encoder = encoder
        self._unsynced: list[Path] = []
        with disk_errors(folder):
            self._find_done()
            self._journal = Journal(self._manifest)

    def _find_done(self) -> None:
        """What a manifest lists and the folder holds is done; of the newest lines, what has the listed bytes."""
        there, listed = np.zeros_like(self.wanted), np.zeros_like(self.wanted)
        for file in os.scandir(self.folder):
            seed = seed_of(file.name)
            row = self._row(seed) if seed is not None and file.name == self._name(seed) else None
            if row is not None:
                _check_regular(file)
                there[row] = True
        for manifest in manifests(self.folder) if there.any() else []:
            for entry in read_entries(manifest):
                row = self._listed_row(entry)
                if row is not None:
                    listed[row] = True
            for entry in newest(manifest):
                row = self._listed_row(entry)
                if row is not None and there[row]:
                    there[row] = sha256_file(self.folder / entry["file"]) == entry["sha256"]
        self.wanted = ~(there & listed)

        def keep(entry: Entry) -> bool:
            row = self._row(entry["seed"])
            return row is None or (self._listed_row(entry) is not None and not self.wanted[row])

        rewrite(self._manifest, keep)

    def _name(self, seed: int) -> str:
        return image_name(seed, self._encoder.suffix)

    def _listed_row(self, entry: Entry) -> int | None:
        return self._row(entry["seed"]) if entry["file"] == self._name(entry["seed"]) else None

    def take(self, seed: int, image: NDArray[np.uint8]) -> tuple[Any, str]:
        """Encode an image and write it under its temporary name."""
        data, path = self._encoder.encode(image), self.folder / self._name(seed)
        with disk_errors(path), open_new(_part(path)) as file:
            file.write(data)
        return None, hashlib.sha256(data).hexdigest()

    def write(self, images: Sequence[Made]) -> None:
        """List images, then give them their names."""
        for start in range(0, len(images), SYNC):
            some = images[start : start + SYNC]
            if len(self._unsynced) + len(some) > SYNC:
                self._sync()
            with disk_errors(self.folder):
                self._journal.add(
                    {"seed": m.seed, "file": self._name(m.seed), "sha256": m.sha256, **m.details}
                    for m in some
                )
                for made in some:
                    path = self.folder / self._name(made.seed)
                    os.replace(_part(path), path)
                    self._unsynced.append(path)

    def _sync(self) -> None:
        """All images so far, their names and their lines are on the platter afterwards."""
        with disk_errors(self.folder):
            sync_files(self.folder, self._unsynced)
            self._journal.sync()
        self._unsynced = []

    def close(self, *, finished: bool) -> None:
        """The last files and lines."""
        self._sync()
        self._journal.close()

    def drop(self, seeds: Sequence[int]) -> None:
        """Remove what was written under temporary names."""
        for seed in seeds:
            _part(self.folder / self._name(seed)).unlink(missing_ok=True)


class ArchiveFiles(Writer):
    """Files of `plan.unit` images each: such a file takes its name once it is whole and listed."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        name: str,
        encoder: Encoder | None,
        contents: Callable[[Sequence[int]], Contents],
    ) -> None:
        """encoder: None hands the pixels on. contents: what there is to know of the images of some seeds."""
        super().__init__(folder, plan)
        self._kind, self._encoder, self._contents = name, encoder, contents
        self._units = -(-len(plan.seeds) // plan.unit)
        self._open: _OpenFile | None = None
        with disk_errors(folder):
            self._find_done()
            self._journal = Journal(self._manifest)

    def _find_done(self) -> None:
        """A file that exists and has as many lines as images is done; the lines of others are dropped."""
        lines = Counter(entry["file"] for path in manifests(self.folder) for entry in read_entries(path))
        mine = {self._path(unit).name: unit for unit in self.plan.units}
        done = {
            name
            for name, unit in mine.items()
            if lines[name] == len(self.plan.unit_span(unit)) and (self.folder / name).is_file()
        }
        begin = self.plan.span.start
        for name in done:
            span = self.plan.unit_span(mine[name])
            self.wanted[span.start - begin : span.stop - begin] = False
        rewrite(self._manifest, lambda entry: entry["file"] not in mine or entry["file"] in done)

    def _path(self, unit: int) -> Path:
        return self.folder / archive_name(self._kind, unit, self._units)

    def take(self, seed: int, image: NDArray[np.uint8]) -> tuple[Any, str]:
        """Encode an image, in memory."""
        content = self._encoder.encode(image) if self._encoder else np.ascontiguousarray(image).data
        return content, hashlib.sha256(content).hexdigest()

    def write(self, images: Sequence[Made]) -> None:
        """Append images to the file that is open; one that is full is closed, and the next opened."""
        for made in images:
            unit = made.place // self.plan.unit
            path = self._path(unit)
            with disk_errors(path):
                if self._open is None:
                    span = self.plan.unit_span(unit)
                    contents = self._contents(self.plan.seeds[span.start : span.stop])
                    self._open = _OpenFile(path, KINDS[self._kind], contents, len(span))
                if self._open.add(made):
                    self._open.finish(self._journal)
                    self._open = None

    def close(self, *, finished: bool) -> None:
        """Drop the file that is not full."""
        if self._open is not None:
            self._open.drop()
            self._open = None
            if finished:
                raise RuntimeError("a file is not full, and no more images come")
        self._journal.close()


class _OpenFile:
    """A file of many images under its temporary name, and the manifest's lines of what is in it."""

    def __init__(self, path: Path, kind: type[Archive], contents: Contents, count: int) -> None:
        self._path, self._count = path, count
        self._file = open_new(_part(path))  # closed by finish or drop
        self._stream = HashingFile(self._file)
        self._archive = kind(self._stream, contents)
        self._entries: list[Entry] = []

    def add(self, made: Made) -> bool:
        """Append an image; whether the file is full."""
        self._archive.add(made)
        where = {"seed": made.seed, "file": self._path.name, "key": made.key}
        self._entries.append({**where, "sha256": made.sha256, **made.details})
        return len(self._entries) == self._count

    def finish(self, journal: Journal) -> None:
        """On the platter, listed, named: in this order, so that a file with its name is whole and known."""
        self._archive.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        digest = self._stream.sha256
        journal.add({**entry, "file_sha256": digest} for entry in self._entries)
        journal.sync()
        os.replace(_part(self._path), self._path)
        sync_folder(self._path.parent)

    def drop(self) -> None:
        """Remove what there is of it."""
        self._stream.muted = True
        with suppress(Exception):  # whatever it was that went wrong, its writer may not close either
            self._archive.close()
        with suppress(OSError):  # what is still buffered may find the disk full again
            self._file.close()
        _part(self._path).unlink(missing_ok=True)
