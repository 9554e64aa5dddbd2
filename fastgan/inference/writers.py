"""Encode images and put them on disk, each whole or not at all."""

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastgan.errors import ConfigError
from fastgan.files import atomic_write

# PNG level 1 is five times faster than PIL's default and 20% larger. JPEG and WebP are set for training data:
# no chroma subsampling, artefacts below what a network sees.
ENCODERS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 1},
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "quality": 95},
}
FORMATS = (*ENCODERS, "npz")
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def check_format(name: str, img_channels: int) -> None:
    """Raise ConfigError if images of so many channels cannot be written as `name`."""
    if name not in FORMATS:
        raise ConfigError(f"--format {name!r} is unknown: choose one of {', '.join(FORMATS)}.")
    if name == "jpg" and img_channels in (2, 4):
        raise ConfigError("--format jpg cannot hold the model's alpha channel: choose png, webp or npz.")


def to_pil(image: NDArray[np.uint8]) -> Image.Image:
    """uint8 [H, W, C] with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels -> a PIL image."""
    pixels = image[:, :, 0] if image.shape[2] == 1 else image
    return Image.fromarray(np.ascontiguousarray(pixels), _MODES[image.shape[2]])


def encode(image: NDArray[np.uint8], name: str) -> bytes:
    """uint8 [H, W, C] -> the bytes of a file in format `name` (a key of ENCODERS)."""
    buffer = BytesIO()
    to_pil(image).save(buffer, **ENCODERS[name])
    return buffer.getvalue()


def replace_bytes(path: Path, data: bytes) -> None:
    """Write `data` under a temporary name and rename it to `path`.

    Not fsynced, unlike `fastgan.files.atomic_write`: a generated image can be made again, and two fsyncs an image
    cost more than generating it. A killed process leaves at most the temporary name, which the next run reuses.
    """
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        file.write(data)
    os.replace(temporary, path)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write one uint8 [H, W, C] as a PNG, durably."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(encode(image, "png"))


class NpzStream:
    """Writes `images` uint8 [N, H, W, C] into an .npz batch by batch, so that N is bounded by the disk alone."""

    def __init__(self, stream: Any, shape: tuple[int, ...]) -> None:
        self._stream = stream
        self._expected = shape
        self._written = 0

    def append(self, images: NDArray[np.uint8]) -> None:
        """Add a batch [n, H, W, C]."""
        self._stream.write(np.ascontiguousarray(images).data)
        self._written += len(images)

    def check(self) -> None:
        """Raise RuntimeError unless all N images came."""
        if self._written != self._expected[0]:
            raise RuntimeError(f"{self._written} images were appended, {self._expected[0]} announced")


@contextmanager
def open_npz(
    path: Path,
    seeds: Sequence[int],
    image_shape: tuple[int, int, int],
    others: Mapping[str, NDArray[Any]] = MappingProxyType({}),
) -> Iterator[NpzStream]:
    """Yield an NpzStream; the file takes its name once it is whole. It also holds `seeds` uint64 [N] and `others`."""
    shape = (len(seeds), *image_shape)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with (
        atomic_write(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
    ):
        for name, array in {"seeds": np.asarray(seeds, np.uint64), **others}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array)
        with archive.open("images.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            stream = NpzStream(member, shape)
            yield stream
            stream.check()


def npz_holds(path: Path, seeds: Sequence[int]) -> bool:
    """Whether `path` is an .npz of exactly these seeds."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return bool(np.array_equal(archive["seeds"], np.asarray(seeds, np.uint64)))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False
