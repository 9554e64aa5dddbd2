"""Tiny images made on the fly, and an independent Lanczos."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """uint8 [H, W, C], or [H, W] for one channel."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> io.BytesIO:
    """The image as a file in memory."""
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, kind, **options)
    file.seek(0)
    return file


def save(path: Path, image: np.ndarray, **options) -> None:
    """Write an array as an image file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)


def fill(folder: Path, count: int, size: int = 16, channels: int = 3, seed: int = 0) -> list[np.ndarray]:
    """0.png .. in `folder`, each different."""
    pictures = [noise(size, size, channels, seed * 1000 + index) for index in range(count)]
    for index, picture in enumerate(pictures):
        save(folder / f"{index}.png", picture)
    return pictures


def png_claiming(width: int, height: int) -> bytes:
    """A valid PNG header of any size with a few bytes of data behind it: what a decompression bomb looks like."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def lanczos(picture: np.ndarray, size: int) -> np.ndarray:
    """Separable Lanczos-3 of a square picture in float64, its support widened when it shrinks (antialiased)."""

    def matrix(length: int) -> np.ndarray:
        scale = length / size
        stretch = max(scale, 1.0)
        centre = (np.arange(size)[:, None] + 0.5) * scale
        distance = (np.arange(length)[None] + 0.5 - centre) / stretch
        weight = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
        return weight / weight.sum(1, keepdims=True)

    weights = matrix(len(picture))
    planes = picture.reshape(*picture.shape[:2], -1).astype(np.float64)
    across = np.einsum("bw,hwc->hbc", weights, planes)
    if picture.dtype != np.uint8:
        return np.einsum("ah,hbc->abc", weights, across)
    across = np.rint(across).clip(0, 255)  # "linear 8-bit": each pass ends in bytes
    return np.rint(np.einsum("ah,hbc->abc", weights, across)).clip(0, 255)
