"""What `fastgan generate` is asked to write, and what of that goes together."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastgan import arguments
from fastgan.errors import ConfigError
from fastgan.inference import writing
from fastgan.inference.conditions import Request
from fastgan.inference.image_sets import Layout
from fastgan.inference.runtime import Runtime
from fastgan.inference.shards import Shard
from fastgan.naming import named

_COUNTS = {"images": 64, "interpolation": 6, "style mix": 5}  # seeds where no number is given
_CLASS_COLUMNS = 8  # the same, of a sheet with a row a class
_FRAMES = 50  # two seconds from a seed to the next


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be written: images, a sheet of them, or another figure. ConfigError for what does not go together."""

    image_format: str | None = None
    encoding: str | None = None
    per_file: int | None = None
    grid: bool = False
    interpolate: bool = False
    frames: int | None = None
    style_mix: bool = False
    rows: "str | Sequence[int] | None" = None

    def __post_init__(self) -> None:
        grid, interpolate, style_mix, frames, rows = map(
            named, ("grid", "interpolate", "style_mix", "frames", "rows")
        )
        if self.grid + self.interpolate + self.style_mix > 1:
            raise ConfigError(
                f"{grid}, {interpolate} and {style_mix} each write a figure of its own: give one."
            )
        if self.frames is not None and not self.interpolate:
            raise ConfigError(f"{frames} counts those of {interpolate}: give both, or leave {frames} away.")
        if self.frames is not None and (arguments.integer(self.frames) or 0) < 1:
            raise ConfigError(f"{named('frames', self.frames)} is impossible: give a number of at least 1.")
        if self.rows is not None and not self.style_mix:
            raise ConfigError(f"{rows} names the rows of {style_mix}: give both, or leave {rows} away.")
        if self.style_mix and self.image_format not in (None, "png"):
            raise ConfigError(f"{style_mix} writes a PNG: leave {named('format', self.image_format)} away.")
        self._refuse_of_a_figure(encoding=self.encoding, per_file=self.per_file)

    def check(
        self, *, shard: str | None, workers: int | None, runtime: str, overwrite: bool, shards: int
    ) -> None:
        """Raise ConfigError for how it is to be made, where that means nothing for what it is."""
        self._refuse_of_a_figure(shard=shard, workers=workers)
        if self.kind != "images" and runtime == "fastest":
            raise ConfigError(
                f"{named('runtime', runtime)} is for sets of images, and a figure is none: leave it away."
            )
        if workers is not None and not 1 <= (arguments.integer(workers) or 0) <= 256:
            raise ConfigError(f"{named('workers', workers)} is impossible: give a number from 1 to 256.")
        if overwrite and shards > 1:
            raise ConfigError(
                f"{named('overwrite')} would remove what the other shards wrote: choose another folder with "
                f"{named('out')}, or empty this one."
            )

    def _refuse_of_a_figure(self, **given: object) -> None:
        for name, value in given.items():
            if self.kind != "images" and value is not None:
                raise ConfigError(
                    f"{named(name)} is for sets of images, and a figure is none: leave it away."
                )

    @property
    def kind(self) -> str:
        """A name of _COUNTS."""
        return "interpolation" if self.interpolate else "style mix" if self.style_mix else "images"

    @property
    def layout(self) -> Layout | None:
        """How a set of images is stored; None where figures alone are wanted."""
        if self.kind != "images" or (self.grid and self.image_format is None):
            return None
        return Layout(
            image_format="png" if self.image_format is None else self.image_format,
            encoding=self.encoding,
            per_file=self.per_file,
        )

    @property
    def count(self) -> int:
        """How many seeds are meant where their number is not given; see `columns`."""
        return _COUNTS[self.kind]

    def columns(self, request: Request) -> int:
        """How many of these where no number is given: fewer of a sheet alone that has a row a class."""
        a_row_a_class = self.grid and self.layout is None and len(request.classes) > 1
        return _CLASS_COLUMNS if a_row_a_class else self.count

    def writer(
        self, model: Runtime, request: Request, seeds: Sequence[int], *, shard: Shard, workers: int | None
    ) -> writing.Write:
        """What writes it. ConfigError where this model cannot."""
        if self.interpolate:
            return writing.interpolation(
                model, request, seeds, self.image_format, int(self.frames or _FRAMES)
            )
        if self.style_mix:
            return writing.style_mix(model, request, seeds, self.rows)
        return writing.images(
            model,
            request,
            seeds,
            self.layout,
            shard=shard,
            workers=None if workers is None else int(workers),
            grid=self.grid,
        )
