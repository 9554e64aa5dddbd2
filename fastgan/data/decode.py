"""An image -> uint8 [size, size, C]: crop or pad to a square, Lanczos (antialiased), once, in PIL.

Rules, in this order:
- What is not square is cropped centrally before it is resized; or (fit "pad") its long side is resized to `size`, and
  the rest is black, or transparent where there are 4 channels.
- EXIF orientation is applied; animations give their first frame; colour profiles are ignored.
- 16-bit grey is scaled from 0..65535 to 0..255 after filtering, never clipped; float grey from 0..1.
- Transparency: kept for 4 channels (filtered with premultiplied alpha), else composited on white.
- CMYK, palette and other colour modes become RGB; grey from colour is ITU-R 601 luma (PIL's "L").
- More than MAX_PIXELS pixels (or as many as are asked for) is refused before anything is decoded; truncated data is an
  error, never filled in.
- What is wrong with metadata costs no pixels: it is left out, and the orientation used where it can be read.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image

from fastgan.data.dataset import option
from fastgan.data.memory import room_for
from fastgan.data.pixels_only import orientation, pixels_only
from fastgan.errors import FastganError, MemoryLimitError

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its words on odd files go to stderr
T = TypeVar("T")
MAX_PIXELS = 89_478_485
"""PIL's own warning limit (a quarter of a gibibyte of RGB), here an error."""
_DECODED_BYTES = 16
"""Of memory for a pixel, at most, while an image is decoded and resized"""

# EPS starts Ghostscript; a PSD may hold a placeholder for its layers; the others are stubs without a decoder, or vector
# and video containers.
_REFUSED = {"EPS", "PSD", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "FITS"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the image upright"""
_GREY_MODES = {"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
_DEEP_MODES = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
_ALPHA_MODES = {"LA", "PA", "RGBA"}
FITS = ("crop", "pad")


class BadImageError(FastganError):
    """One image cannot be used; the message is the reason, without the name."""


class _TooLargeError(BadImageError):
    """More pixels than are wanted, or than memory has room for."""


@dataclass(frozen=True)
class Header:
    """What can be told of an image without decoding it."""

    short_side: int
    long_side: int
    is_grey: bool
    has_alpha: bool


@cache
def formats() -> tuple[str, ...]:
    """PIL's names of the formats that are read; HEIF where pillow-heif is installed (fastgan[heif])."""
    Image.init()
    with suppress(ImportError, OSError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return tuple(sorted(set(Image.OPEN) - _REFUSED))


@cache
def suffixes() -> frozenset[str]:
    """The file suffixes (lower case, with dot) that are taken for images."""
    readable = set(formats())
    known = Image.registered_extensions()
    return frozenset(
        suffix for suffix, kind in known.items() if kind in readable or kind == "MPO"
    )  # a JPEG to PIL


@contextmanager
def quiet() -> Iterator[None]:
    """Silence PIL's warnings about odd files: what matters about a file is reported as its BadImage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def read_header(file: BinaryIO | np.ndarray, max_pixels: int | None = None) -> Header:
    """Size and kind of the image in `file`, or of an array uint8 [H, W] or [H, W, C].

    max_pixels: more than so many are refused; None: MAX_PIXELS. Raises BadImageError.
    """

    def header(image: Image.Image, _orientation: int) -> Header:
        return Header(
            short_side=min(image.size),
            long_side=max(image.size),
            is_grey=image.mode in _GREY_MODES,
            has_alpha=image.mode in _ALPHA_MODES or "transparency" in image.info,
        )

    return _whatever_its_metadata(file, max_pixels or MAX_PIXELS, header)


def decode(
    file: BinaryIO | np.ndarray, size: int, channels: int, fit: str = "crop", max_pixels: int | None = None
) -> tuple[np.ndarray, int]:
    """The image in `file` (or an array) as uint8 [size, size, channels], and the side that became `size`.

    max_pixels: more than so many are refused; None: MAX_PIXELS. Raises BadImageError.
    """

    def pixels(image: Image.Image, turned: int) -> tuple[np.ndarray, int]:
        with room_for(_DECODED_BYTES * image.width * image.height):
            image.load()
            turned = turned if turned != 1 else orientation(image)
            if turned in _TURNS:
                image = image.transpose(_TURNS[turned])
            side = max(image.size) if fit == "pad" else min(image.size)
            return square(image, size, channels, fit), side

    return _whatever_its_metadata(file, max_pixels or MAX_PIXELS, pixels)


def _whatever_its_metadata(
    file: BinaryIO | np.ndarray, max_pixels: int, use: Callable[[Image.Image, int], T]
) -> T:
    """use(image, orientation known so far), and once more without metadata where something is wrong with the file."""
    try:
        return _told(use, _open(file, max_pixels), 1)
    except _TooLargeError:
        raise
    except BadImageError:
        plain = None if isinstance(file, np.ndarray) else pixels_only(file)
        if plain is None:
            raise
        try:
            return _told(use, _open(plain[0], max_pixels), plain[1])
        except _TooLargeError:
            raise
        except BadImageError:
            pass  # it is the pixels: what was said first says it better
        raise


def _told(use: Callable[[Image.Image, int], T], image: Image.Image, turned: int) -> T:
    try:
        return use(image, turned)
    except MemoryLimitError as error:
        raise _TooLargeError(str(error)) from error
    except (FastganError, MemoryError):
        raise
    except Exception as error:  # on hostile bytes a decoder may raise anything: each is reported by name
        raise BadImageError(_reason(error)) from error


def square(image: Image.Image, size: int, channels: int, fit: str = "crop") -> np.ndarray:
    """A decoded image as uint8 [size, size, channels] by the rules above. Raises BadImageError."""
    if fit == "pad":
        longest = max(image.size)
        width, height = (max(1, round(side * size / longest)) for side in image.size)
    else:
        image = _centre_square(image)
        width = height = size
    if image.mode in _DEEP_MODES:
        image = _resize_deep(image, (width, height))
    elif image.mode in _ALPHA_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
        if channels != 4:
            white = Image.new("RGBA", image.size, (255, 255, 255, 255))
            image = Image.alpha_composite(white, image).convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (size, size):
        canvas = Image.new(mode, (size, size))  # zeros: black, or transparent
        canvas.paste(image, ((size - width) // 2, (size - height) // 2))
        image = canvas
    return np.asarray(image).reshape(size, size, channels)  # [H, W, C]


def _open(file: BinaryIO | np.ndarray, max_pixels: int) -> Image.Image:
    if isinstance(file, np.ndarray):
        flat = file[:, :, 0] if file.ndim == 3 and file.shape[2] == 1 else file
        return Image.fromarray(np.ascontiguousarray(flat))
    _allow(max_pixels)
    try:
        image = Image.open(file, formats=formats())
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:  # beyond twice PIL's limit, which is no less than ours
        count = re.search(r"\((\d+) pixels\)", str(error))
        raise _too_large("", int(count[1]) if count else 0, max_pixels) from error
    except Exception as error:
        raise BadImageError(_reason(error)) from error
    width, height = image.size
    if width * height > max_pixels:
        raise _too_large(f"{width} x {height}, ", width * height, max_pixels)
    if width < 1 or height < 1:
        raise BadImageError("it has no pixels")
    return image


def _allow(max_pixels: int) -> None:
    """PIL has a limit of its own, which is the process's: raised where more is asked for, never lowered."""
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels


def _too_large(sides: str, pixels: int, max_pixels: int) -> BadImageError:
    return _TooLargeError(
        f"{sides}{pixels / 1e6:.1f} million pixels, is more than the limit of {max_pixels / 1e6:.0f} million: "
        f"{option('max_pixels', pixels)} raises it"
    )


def _centre_square(image: Image.Image) -> Image.Image:
    width, height = image.size
    side = min(width, height)
    if width == height:
        return image
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _resize_deep(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Grey of more than 8 bits -> "L" of that size, filtered in float so that no precision is lost before rounding."""
    pixels = np.asarray(image)
    lowest, highest = pixels.min(), pixels.max()
    white = 1.0 if image.mode == "F" else 65535.0
    if not (lowest >= 0 and highest <= white):  # also true for NaN
        kind = "float" if image.mode == "F" else "integer"
        raise BadImageError(
            f"{kind} grey from {lowest:g} to {highest:g} is outside 0..{white:g}, so white is unknown"
        )
    deep = Image.fromarray(pixels.astype(np.float32))  # mode "F"
    if deep.size != size:
        deep = deep.resize(size, Image.Resampling.LANCZOS)
    scaled = np.asarray(deep, dtype=np.float64) * (255.0 / white)
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _reason(error: Exception) -> str:
    """One line that says what PIL found, without the object addresses and line breaks it may put in."""
    text = " ".join(str(error).split())
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image in a known format"
    return text or type(error).__name__
