"""Images to the bytes of files, in threads side by side.

What was measured (images/s of one thread, Pillow 13, OpenCV 5, two cores; 64 px / 256 px / 1024 px, generated images):

PNG    numpy filter + zlib's run lengths (this file) 7,800 / 690 / 44, x1.9 with two threads; OpenCV 5,800 / 600 / 42;
       imagecodecs 3,600 / 250 / 17; Pillow at level 1 2,050 / 130 / 9, and x1.0: it keeps the interpreter's lock
JPEG   simplejpeg 23,700 / 3,360 / 247; OpenCV 17,000 / 3,290 / 231; Pillow 11,600 / 2,600 / 196
WebP   Pillow, method 2: 2,100 / 255 / 21 (method 4, the default: 1,240 / 146 / 9, no smaller); OpenCV 1,850 / 154 / 10

So PNG needs no library at all, and Pillow does for the rest: one that is twice as fast at JPEG is not worth a
dependency where a model of 64 px makes hundreds of images a second. An encoder never gives way to another: a set is
written by the one that its settings name.
"""

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from fastgan.errors import ConfigError

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> colour type (PNG specification, table 11.1)
_SUB = 1  # PNG's filter: each byte less that of the pixel on its left
_LARGE = 128 * 128  # pixels from which a JPEG is worth a file descriptor


def to_pil(image: NDArray[np.uint8]) -> Image.Image:
    """uint8 [H, W, C] with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels -> a PIL image."""
    pixels = image[:, :, 0] if image.shape[2] == 1 else image
    return Image.fromarray(np.ascontiguousarray(pixels), _MODES[image.shape[2]])


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """uint8 [H, W, C], C from 1 to 4 -> a PNG.

    Every row is filtered by Sub and the whole compressed by zlib's run lengths and Huffman codes: on images of 64 px
    and above that is smaller than level 1's search for repetitions, and 3 to 5 times faster than Pillow.
    """
    h, w, c = image.shape
    rows = np.ascontiguousarray(image).reshape(h, w * c)
    filtered = np.empty((h, 1 + w * c), np.uint8)
    filtered[:, 0] = _SUB
    filtered[:, 1 : 1 + c] = rows[:, :c]
    np.subtract(rows[:, c:], rows[:, :-c], out=filtered[:, 1 + c :])
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", w, h, 8, _PNG_COLOURS[c], 0, 0, 0)
    data = packer.compress(filtered.data) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk: length, kind, data, CRC-32 of the last two."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _encode_jpg(image: NDArray[np.uint8]) -> bytes:
    """Without chroma subsampling, artefacts below what a network sees."""
    options: dict[str, Any] = {"format": "JPEG", "quality": 95, "subsampling": 0}
    picture = to_pil(image)
    if not hasattr(os, "memfd_create") or picture.width * picture.height < _LARGE:
        buffer = BytesIO()
        picture.save(buffer, **options)
        return buffer.getvalue()
    # Only while it writes to a file descriptor does Pillow's JPEG encoder leave the interpreter to other threads.
    with os.fdopen(os.memfd_create("image"), "wb+") as file:
        picture.save(file, **options)
        file.seek(0)
        return file.read()


def _webp(**options: Any) -> Callable[[NDArray[np.uint8]], bytes]:
    def encode(image: NDArray[np.uint8]) -> bytes:
        buffer = BytesIO()
        # WebP holds no grey: libwebp wants RGB, and a reader gets three equal channels.
        to_pil(image).save(buffer, format="WEBP", **options)
        return buffer.getvalue()

    return encode


@dataclass(frozen=True)
class Encoder:
    """One way to encode an image."""

    suffix: str
    """Of its files, without a dot."""
    settings: str
    """What determines the bytes beside the codec."""
    codec: Callable[[], str]
    """Name and version of the library that determines them."""
    encode: Callable[[NDArray[np.uint8]], bytes]
    """uint8 [H, W, C] -> the bytes of a file; safe in several threads."""

    @property
    def words(self) -> str:
        """For the settings of a folder: two encoders with the same words give the same bytes."""
        return f"{self.codec()}, {self.settings}"


ENCODERS = {
    "png": Encoder("png", "sub filter, run lengths", lambda: f"zlib {zlib.ZLIB_RUNTIME_VERSION}", encode_png),
    "jpg": Encoder(
        "jpg",
        "quality 95, no chroma subsampling",
        lambda: f"libjpeg-turbo {features.version('libjpeg_turbo') or features.version('jpg')}",
        _encode_jpg,
    ),
    "webp": Encoder(
        "webp",
        "quality 95, method 2",
        lambda: f"libwebp {features.version('webp')}",
        _webp(quality=95, method=2),
    ),
    "webp-lossless": Encoder(
        "webp",
        "lossless, effort 20, method 1",  # 9 times faster than the default, and no larger
        lambda: f"libwebp {features.version('webp')}",
        _webp(lossless=True, quality=20, method=1),
    ),
}
"""By the name that --format and --encoding take."""


def check_encoder(name: str, img_channels: int, option: str = "--format") -> None:
    """Raise ConfigError if images of so many channels cannot be encoded as `name`."""
    if name == "jpg" and img_channels in (2, 4):
        raise ConfigError(f"{option} jpg cannot hold the model's alpha channel: choose png, webp or npz.")
    if name.startswith("webp") and not features.check("webp"):
        raise ConfigError(
            f"{option} {name} needs a Pillow that has WebP: install its wheel from PyPI, or choose png."
        )
