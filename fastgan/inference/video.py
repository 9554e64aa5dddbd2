"""Moving pictures: GIF through Pillow, MP4 (H.264) through PyAV, which is optional."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastgan import extras
from fastgan.errors import ConfigError
from fastgan.files import atomic_write
from fastgan.inference.encoders import to_pil

MOVIES = ("gif", "mp4")
FRAME_RATE = 25  # a second; GIF counts in hundredths, so that 25 is exact in both
_MOST_PIXELS = 1 << 30  # of a GIF, which is held in memory until it is written, a byte a pixel
_LEAST_SIDE = 256  # of an MP4: H.264 halves the resolution of colours, which small images cannot spare


class Movie(ABC):
    """Takes frames one after the other."""

    @abstractmethod
    def append(self, image: NDArray[np.uint8]) -> None:
        """Add a frame, uint8 [H, W, C]; what is transparent is shown on white."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is still open."""


def has_mp4() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


def check_movie(name: str, frames: int, resolution: int) -> None:
    """Raise ConfigError if a movie of so many frames cannot be written as `name`, "gif" or "mp4"."""
    if name == "mp4" and not has_mp4():
        raise ConfigError(f"MP4 needs PyAV: {extras.install_line('video')}, or ask for gif.")
    if name == "gif" and frames * resolution**2 > _MOST_PIXELS:
        raise ConfigError(
            f"a GIF of {frames} frames of {resolution} px would be too large: ask for at most "
            f"{_MOST_PIXELS // resolution**2} frames, or for mp4."
        )


@contextmanager
def open_movie(path: Path, resolution: int) -> Iterator[Movie]:
    """Yield a Movie for square frames; the file takes its name once it is whole. The suffix tells the format."""
    kind = {".gif": _Gif, ".mp4": _Mp4}[path.suffix]
    with atomic_write(path) as temporary:
        movie: Movie = kind(temporary, resolution)
        yield movie
        movie.finish()


class _Gif(Movie):
    def __init__(self, path: Path, _resolution: int) -> None:
        self._path = path
        self._frames: list[Image.Image] = []

    def append(self, image: NDArray[np.uint8]) -> None:
        self._frames.append(_on_white(image).quantize(256))

    def finish(self) -> None:
        first, *others = self._frames
        first.save(self._path, save_all=True, append_images=others, duration=1000 // FRAME_RATE, loop=0)


class _Mp4(Movie):
    def __init__(self, path: Path, resolution: int) -> None:
        import av

        self._side = resolution * max(1, _LEAST_SIDE // resolution)
        self._file = open(path, "wb")  # noqa: SIM115  closed by finish; PyAV opens names in UTF-8 alone
        self._container: Any = av.open(self._file, "w", format="mp4")
        self._stream: Any = self._container.add_stream("libx264", rate=Fraction(FRAME_RATE))
        self._stream.width = self._stream.height = self._side
        self._stream.pix_fmt = "yuv420p"  # what every player takes
        self._stream.options = {"crf": "16"}
        self._frame = av.VideoFrame

    def append(self, image: NDArray[np.uint8]) -> None:
        larger = _on_white(image).resize((self._side, self._side), Image.Resampling.NEAREST)
        self._container.mux(self._stream.encode(self._frame.from_image(larger)))

    def finish(self) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()
        self._file.close()


def _on_white(image: NDArray[np.uint8]) -> Image.Image:
    """uint8 [H, W, C] -> RGB."""
    picture = to_pil(image)
    if image.shape[2] in (1, 3):
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
