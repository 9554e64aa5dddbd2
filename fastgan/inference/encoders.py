"""Images to the bytes of files, in threads side by side, by Pillow.

What was measured (images/s of one thread, Pillow 13, OpenCV 5, two cores; 64 px / 256 px / 1024 px, generated images):

PNG    Pillow at level 1 2,050 / 130 / 9, with run lengths alone (zlib's Z_RLE) 3,030 / 320 and 8 to 16% smaller;
       OpenCV with run lengths 5,800 / 600 / 42; imagecodecs 3,600 / 250 / 17
JPEG   simplejpeg 23,700 / 3,360 / 247; OpenCV 17,000 / 3,290 / 231; Pillow 11,600 / 2,600 / 196
WebP   Pillow, method 2: 2,100 / 255 / 21 (method 4, the default: 1,240 / 146 / 9, no smaller); OpenCV 1,850 / 154 / 10

OpenCV is twice as fast at PNG: not worth 60 MB where a model of 64 px makes hundreds of images a second and a core
encodes 3,000. An encoder never gives way to another: a set is written by the one that its settings name.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, features

from fastgan.errors import ConfigError
from fastgan.naming import named

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_RUN_LENGTHS = 3  # zlib's strategy Z_RLE
_LARGE = 64 * 64  # pixels from which an image is worth a file descriptor


def to_pil(image: NDArray[np.uint8]) -> Image.Image:
    """uint8 [H, W, C] with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels -> a PIL image."""
    pixels = image[:, :, 0] if image.shape[2] == 1 else image
    return Image.fromarray(np.ascontiguousarray(pixels), _MODES[image.shape[2]])


def _by_file(**options: Any) -> Callable[[NDArray[np.uint8]], bytes]:
    """An encoder of Pillow's that leaves the interpreter to other threads, but only while it writes to a real file."""

    def encode(image: NDArray[np.uint8]) -> bytes:
        picture = to_pil(image)
        if not hasattr(os, "memfd_create") or picture.width * picture.height < _LARGE:
            buffer = BytesIO()
            picture.save(buffer, **options)
            return buffer.getvalue()
        with os.fdopen(os.memfd_create("image"), "wb+") as file:
            picture.save(file, **options)
            file.seek(0)
            return file.read()

    return encode


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
    "png": Encoder(
        "png",
        "level 1, run lengths",
        lambda: f"Pillow {PIL.__version__}, zlib {features.version('zlib')}",
        _by_file(format="PNG", compress_level=1, compress_type=_RUN_LENGTHS),
    ),
    "jpg": Encoder(
        "jpg",
        "quality 95, no chroma subsampling",
        lambda: f"libjpeg-turbo {features.version('libjpeg_turbo') or features.version('jpg')}",
        _by_file(format="JPEG", quality=95, subsampling=0),  # artefacts below what a network sees
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
"""By the name that `Layout` takes for its format and encoding."""


def check_encoder(name: str, img_channels: int, parameter: str = "format") -> None:
    """Raise ConfigError, which names the `parameter`, if images of so many channels cannot be encoded as `name`."""
    if name == "jpg" and img_channels in (2, 4):
        raise ConfigError(
            f"{named(parameter, name)} cannot hold the model's alpha channel: choose png, webp or npz."
        )
    if name.startswith("webp") and not features.check("webp"):
        raise ConfigError(
            f"{named(parameter, name)} needs a Pillow that has WebP: install its wheel from PyPI, or choose png."
        )
