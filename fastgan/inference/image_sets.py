"""A set of generated images: its format, its place, its settings; what `fastgan generate -o OUT` makes.

with open_set(runtime, seeds, request, folder, Layout(image_format="webdataset")) as (plan, writer):
    write_set(runtime, plan, writer, request=request)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastgan import arguments
from fastgan.errors import ConfigError
from fastgan.inference.archives import ARCHIVES, Contents, check_contents, container_words
from fastgan.inference.conditions import Request
from fastgan.inference.encoders import ENCODERS, check_encoder
from fastgan.inference.folder import OutputFolder
from fastgan.inference.plan import Plan
from fastgan.inference.runtime import Runtime
from fastgan.inference.shards import Shard
from fastgan.inference.writers import FORMATS, ArchiveFiles, ImageFiles, Writer
from fastgan.naming import named
from fastgan.seeds import MAX_SEEDS

PER_FILE = 1000  # images: a restart makes at most so many again, and a copy of a set moves few files


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How images are stored. ConfigError for what does not go together."""

    image_format: str = "png"
    """A name of FORMATS."""
    encoding: str | None = None
    """Of the images inside of tars and parquet tables, a name of ENCODERS; None for png."""
    per_file: int | None = None
    """Images a tar, a parquet table or an .npz; None for 1000, and for all in one .npz."""

    def __post_init__(self) -> None:
        name = self.image_format
        if name not in FORMATS:
            raise ConfigError(f"{named('format', name)} is unknown: choose one of {', '.join(FORMATS)}.")
        if self.encoding is not None and name not in ("webdataset", "parquet"):
            raise ConfigError(
                f"{named('encoding')} says what is inside of webdataset and parquet files, and "
                f"{named('format')} is {name}: "
                "leave it away."
            )
        if self.encoding is not None and self.encoding not in ENCODERS:
            raise ConfigError(
                f"{named('encoding', self.encoding)} is unknown: choose one of {', '.join(ENCODERS)}."
            )
        if self.per_file is not None and name not in ARCHIVES:
            raise ConfigError(
                f"{named('per_file')} counts the images of a file, and a {name} is one: leave it away."
            )
        if self.per_file is not None:
            arguments.whole_number(self.per_file, "per_file", 1, MAX_SEEDS)

    @property
    def encoder(self) -> str | None:
        """Name of the encoder; None for an .npz."""
        if self.image_format in ENCODERS:
            return self.image_format
        return None if self.image_format == "npz" else self.encoding or "png"

    @property
    def in_archives(self) -> bool:
        """Whether a file holds many images."""
        return self.image_format in ARCHIVES

    def unit(self, batch: int, count: int) -> int:
        """Images that are written together."""
        if not self.in_archives:
            return batch
        return self.per_file or (count if self.image_format == "npz" else PER_FILE)

    def check(self, runtime: Runtime, count: int, shard: Shard) -> None:
        """Raise ConfigError if the images of this model cannot be stored so, or not by several processes."""
        if self.encoder is not None:
            parameter = "encoding" if self.in_archives else "format"
            check_encoder(self.encoder, runtime.img_channels, parameter)
        if self.in_archives:
            check_contents(self.image_format, runtime.facts.attribute_names)
        if self.image_format == "npz" and self.per_file is None and shard.count > 1:
            raise ConfigError(
                f"{named('format', 'npz')} is one file and there are {shard.count} shards: give "
                f"{named('per_file')}, or choose webdataset."
            )

    def settings(self, batch: int, count: int) -> dict[str, Any]:
        """What determines the bytes of the set's files, beside the model and the seeds."""
        settings: dict[str, Any] = {"format": self.image_format, "batch": batch}
        if self.in_archives:
            settings |= {
                "container": container_words(self.image_format),
                "per_file": self.unit(batch, count),
                "encoding": self.encoder or "pixels",
            }
        if self.encoder:
            settings["encoder"] = ENCODERS[self.encoder].words
        return settings


@contextmanager
def open_set(
    runtime: Runtime,
    seeds: Sequence[int],
    request: Request,
    folder: OutputFolder,
    layout: Layout,
    shard: Shard = Shard(),  # noqa: B008  frozen
) -> Iterator[tuple[Plan, Writer]]:
    """Make the set, or a shard of it, this process's own, and find what is there already.

    Raises OutputError for a folder with another set, and while another process writes this shard.
    """
    batch = runtime.batch
    plan = Plan(seeds, batch, layout.unit(batch, len(seeds)), shard)
    settings = layout.settings(batch, len(seeds))
    with folder.writing(settings, seeds, shard, may_grow=not layout.in_archives):
        if layout.in_archives:
            encoder = ENCODERS[layout.encoder] if layout.encoder else None

            def contents(some: Sequence[int]) -> Contents:
                return _contents(runtime, some, request, encoder.suffix if encoder else "")

            yield plan, ArchiveFiles(folder.path, plan, layout.image_format, encoder, contents)
        else:
            yield plan, ImageFiles(folder.path, plan, ENCODERS[layout.image_format])


def _contents(runtime: Runtime, seeds: Sequence[int], request: Request, suffix: str) -> Contents:
    facts = runtime.facts
    return Contents(
        suffix=suffix,
        class_names=facts.class_names,
        attribute_names=facts.attribute_names,
        seeds=seeds,
        image_shape=(runtime.resolution, runtime.resolution, runtime.img_channels),
        arrays=runtime.data.draw(seeds, request).arrays() if runtime.data is not None and not suffix else {},
    )
