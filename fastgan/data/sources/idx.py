"""MNIST, Fashion-MNIST and their relatives: idx files (LeCun's format), as downloaded (.gz) or unpacked.

A folder of them (`train-images-idx3-ubyte.gz`, `t10k-labels-idx1-ubyte`, ...) or one file of images.
"""

import math
import os
import re
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fastgan.data.members import open_gzip, reason
from fastgan.data.names import SPLITS
from fastgan.data.row_file import FileImages, RowFile
from fastgan.data.sources import Images
from fastgan.errors import DataError
from fastgan.files import open_regular
from fastgan.machine import require_memory

DESCRIBES = "MNIST-like idx files"
MAX_UNPACKED = 1 << 31
"""A .gz that says it unpacks to more is refused; an unpacked file is read as it is used, and may be of any size."""

_UINT8 = 0x08
_FILE = re.compile(r"(?P<set>.*?)images[-._]idx(?P<rank>[34])[-._]ubyte(?P<gz>\.gz)?")
_FASHION = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def matches(path: Path) -> bool:
    """Whether `path` is called an idx file of images, or is a folder with one."""
    return bool(_FILE.fullmatch(path.name) and path.is_file()) or bool(path.is_dir() and _image_files(path))


def read(path: Path) -> Images:
    """Training images first, then test images; without labels where a part has none."""
    files = _image_files(path) if path.is_dir() else [path]
    splits = [_split(file) for file in files]
    if len(set(splits)) < len(splits):
        first, second = (file.name for file in files[:2])
        raise DataError(
            f"{path} holds several sets ({first}, {second}, ...): give one file of images instead"
        )
    arrays, labels, watched = [], [], list(files)
    for file in files:
        arrays.append(_read(file, rank=(3, 4)))
        label_file = _labels_of(file)
        if label_file is None:
            continue
        watched.append(label_file)
        labels.append(np.asarray(_read(label_file, rank=(1,)), np.int64))
        if len(labels[-1]) != len(arrays[-1]):
            raise DataError(
                f"{label_file} has {len(labels[-1])} labels for the {len(arrays[-1])} images of {file.name}: "
                "download both again"
            )
    if len({array.shape[1:] for array in arrays}) > 1:
        raise DataError(
            f"{path}: the images of {files[0].name} and {files[1].name} differ in size: give one file"
        )
    complete = len(labels) == len(files)
    classes = _classes(path, int(max(part.max(initial=0) for part in labels))) if complete else ()
    starts = np.cumsum([0, *map(len, arrays)])

    def load(row: int) -> np.ndarray:
        part = int(np.searchsorted(starts, row, "right")) - 1
        return np.asarray(arrays[part][row - starts[part]])

    part_sizes = list(zip(splits, map(len, arrays), strict=True))
    missing = () if complete else ("no labels: there is no file of labels beside every file of images",)
    return Images(
        names=[f"{SPLITS[split or 0]}/{index:05d}" for split, size in part_sizes for index in range(size)],
        load=load,
        files=lambda: watched,
        labels=np.concatenate(labels) if complete else None,
        class_names=classes,
        splits=None
        if None in splits
        else np.concatenate([np.full(size, split, np.int8) for split, size in part_sizes]),
        notes=missing,
    )


def _image_files(folder: Path) -> list[Path]:
    """The files of images in a folder, the training set first; .gz where a file is there both ways is left out."""
    try:
        found = {file.name: file for file in folder.iterdir() if _FILE.fullmatch(file.name)}
    except OSError:
        return []
    kept = [
        file for name, file in found.items() if name.removesuffix(".gz") == name or name[:-3] not in found
    ]
    return sorted(kept, key=lambda file: (_split(file) or 0, file.name))


def _split(file: Path) -> int | None:
    """The index in SPLITS that the name tells."""
    found = _FILE.fullmatch(file.name)
    words = re.split(r"[-._]", found["set"].casefold()) if found else []
    if "train" in words:
        return SPLITS.index("train")
    return SPLITS.index("test") if {"t10k", "test"} & set(words) else None


def _labels_of(file: Path) -> Path | None:
    """The file of labels that belongs to a file of images."""
    name = re.sub(r"idx[34]", "idx1", file.name.replace("images", "labels")).removesuffix(".gz")
    return next(
        (file.with_name(f"{name}{end}") for end in ("", ".gz") if file.with_name(f"{name}{end}").is_file()),
        None,
    )


def _classes(path: Path, largest: int) -> tuple[str, ...]:
    """Fashion-MNIST's names where the path says so (the files are called as MNIST's are), else the numbers."""
    is_fashion = any("fashion" in part.casefold() for part in path.resolve().parts[-2:])
    return _FASHION if is_fashion and largest < 10 else tuple(str(label) for label in range(largest + 1))


def _read(path: Path, rank: tuple[int, ...]) -> np.ndarray | FileImages:
    """An idx file of bytes: images that stay in the file, or what is unpacked, or labels, in memory."""
    try:
        with open_regular(path) as packed, _unpacked(path, packed) as file:
            shape = _shape(path, file, rank)
            offset, size = 4 + 4 * len(shape), math.prod(shape)
            if file is not packed:
                if size > MAX_UNPACKED:
                    raise DataError(f"{path} unpacks to {size / 1e9:.1f} GB: unpack it first, with gunzip")
                require_memory(2 * size, f"unpacking {path}", "unpack it first, with gunzip")
                content = file.read(size)
                if len(content) < size:
                    raise EOFError(f"{len(content)} of {size} bytes")
                if file.read(1):  # at its end, where gzip compares the checksum
                    raise EOFError(f"more than {size} bytes")
                return np.frombuffer(content, np.uint8).reshape(shape)
            if (there := os.fstat(packed.fileno()).st_size) != offset + size:
                raise EOFError(f"{there} of {offset + size} bytes")
            if len(shape) == 1:
                return np.frombuffer(packed.read(size), np.uint8)
            return FileImages(RowFile(packed, path, offset, shape[0], (*shape[1:],)))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is cut short or damaged ({reason(error)}): download it again") from error


def _unpacked(path: Path, packed: BinaryIO) -> BinaryIO:
    return open_gzip(packed) if path.suffix == ".gz" else packed


def _shape(path: Path, file: BinaryIO, rank: tuple[int, ...]) -> tuple[int, ...]:
    """The header: two zero bytes, the type, the rank, then each length as a big-endian 32-bit number."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != _UINT8 or magic[3] not in rank:
        wanted = " or ".join(f"{_UINT8 << 8 | r:#010x}" for r in rank)
        raise DataError(
            f"{path} begins with 0x{magic.hex()}, not {wanted}: it is no idx file of bytes, download it again"
        )
    lengths = file.read(4 * magic[3])
    if len(lengths) < 4 * magic[3]:
        raise EOFError("its header ends early")
    shape = tuple(np.frombuffer(lengths, ">u4").tolist())
    if 0 in shape or (len(shape) == 4 and shape[3] not in (1, 3, 4)):
        raise DataError(
            f"{path} holds an array of {[*shape]}: images are [count, height, width] or that and 1, 3 or 4"
        )
    return shape
