"""What is scored, and against what: opened, and checked to fit each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastgan.evaluation.samples import FolderSamples, ModelSamples
from fastgan.naming import named

if TYPE_CHECKING:
    from fastgan.data import Dataset
    from fastgan.inference.runtime import Runtime
    from fastgan.metrics.reference import Reference

_RUN_FILES = ("latest", "config.toml", "state.json", "model.safetensors")


def open_model(
    source: Path | Runtime, *, device: str, batch: int | None, truncation: float, seed: int = 0
) -> ModelSamples | None:
    """The generator in `source`, or that is opened already; None where it holds images.

    Raises what `open_generator` does, ConfigError for a batch of a generator that has its own, and MetricError for a
    truncation or a seed of images that are made already.
    """
    from fastgan.errors import CheckpointError, ConfigError, MetricError
    from fastgan.inference import open_generator
    from fastgan.training.checkpoint import is_pointer

    if not isinstance(source, Path):
        if batch is not None:
            raise ConfigError(
                f"{source.facts.source} is opened in batches of {source.batch}: leave {named('batch')} away."
            )
        return ModelSamples(source, truncation)
    if not source.exists():
        raise CheckpointError(
            f"{source} does not exist: give a run, a checkpoint, an .onnx or a folder of images."
        )
    is_model = source.suffix.lower() in (".onnx", ".safetensors") or is_pointer(source)
    if is_model or any((source / f).exists() for f in _RUN_FILES):
        return ModelSamples(open_generator(source, device=device, batch=batch), truncation)
    for parameter, given in (("truncation_psi", truncation != 1.0), ("seed", seed != 0)):
        if given:
            raise MetricError(f"{source} holds images that are made already: leave {named(parameter)} away.")
    return None


def open_folder(source: Path, resolution: int, channels: int) -> FolderSamples:
    """The images in `source`, which must have the real ones' size: to resize them silently would change the numbers.

    Raises what `open_dataset` does, and MetricError for other sizes.
    """
    from fastgan.data import open_dataset
    from fastgan.errors import MetricError

    if source.suffix.lower() != ".fgd":
        _check_sizes(source, resolution)
    made = open_dataset(source, channels=channels)
    if made.resolution != resolution:
        raise MetricError(
            f"{source} holds images of {made.resolution} px, and the real images have {resolution}: "
            "pack one of them at the other's size, with fastgan data pack --size."
        )
    return FolderSamples(source, made)


def _check_sizes(source: Path, resolution: int) -> None:
    """MetricError unless every image in `source` is `resolution` pixels a side."""
    from fastgan.data import BadImage, ingest, sources
    from fastgan.errors import MetricError
    from fastgan.text import quoted

    _, module = sources.find(source, None)
    images = module.read(source)
    for name, header in zip(images.names, ingest.headers(images), strict=True):
        if isinstance(header, BadImage):
            continue  # open_dataset says what it thinks of these
        if (header.short_side, header.long_side) != (resolution, resolution):
            raise MetricError(
                f"{source / name} has sides of {header.short_side} and {header.long_side} px, and the real images "
                f"have {resolution}: resize on purpose, with fastgan data pack {quoted(source)} --size {resolution}."
            )


def open_real(
    data: Path | Dataset, model: ModelSamples | None, *, split: str | None, labels: bool, images: bool
) -> tuple[Dataset | None, Reference | None]:
    """The real images at the model's resolution and with its channels, or their statistics from a .safetensors file.

    Raises what `open_dataset` does, and DataError where classes (`labels`) or single images (`images`) are wanted and
    there are none, or where a data set that is open already is not of the model's size.
    """
    from fastgan.errors import DataError
    from fastgan.metrics import reference

    if isinstance(data, Path) and data.suffix.lower() == ".safetensors":
        if images:
            raise DataError(
                f"{data} holds statistics alone: {named('audit')}, {named('baselines')}, {named('threshold')}, ifid "
                "and cas need the images themselves."
            )
        return None, reference.read(data)
    size, channels = (None, None) if model is None else (model.model.resolution, model.model.img_channels)
    real = _opened(data, size, channels, split)
    if labels and real.labels is None:
        raise DataError(
            f"{called(data)} has no classes for {named('threshold')} to give: sort its images into a folder for each."
        )
    return real, None


def open_held_out(data: Path | Dataset | None, real: Dataset | None, *, asked: bool) -> Dataset | None:
    """The held-out images at the real ones' size; ConfigError where nothing would look at them."""
    from fastgan.errors import ConfigError

    if data is None:
        return None
    if not asked or real is None:
        raise ConfigError(
            f"{named('holdout')} is for {named('audit')} and for {named('metrics', 'cas')}: give one of them too, or "
            "leave it away."
        )
    return _opened(data, real.resolution, real.channels, None)


def called(data: Path | Dataset) -> str:
    """How messages name real images."""
    return str(data if isinstance(data, Path) else data.provenance.get("source", "the data set"))


def _opened(data: Path | Dataset, size: int | None, channels: int | None, split: str | None) -> Dataset:
    """A data set of this size; one that is open already must have it."""
    from fastgan.data import open_dataset
    from fastgan.errors import DataError

    if isinstance(data, Path):
        return open_dataset(data, resolution=size, channels=channels, split=split)
    if split is not None:
        raise DataError(
            f"{named('split')} is of a source, and this set is open already: open that part of it."
        )
    if (size or data.resolution, channels or data.channels) != (data.resolution, data.channels):
        raise DataError(
            f"{called(data)} has images of {data.resolution} px with {data.channels} channels, and those it is "
            f"compared with have {size} px and {channels}: open it at that size, or give its path."
        )
    return data
