"""The images of a study: those to train on and those held out, packed once, always the same of the same source."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch

from fastgan.data import Dataset, Found, open_dataset, packed, survey
from fastgan.data.dataset import content_hash, encode_names
from fastgan.data.feed import split
from fastgan.documents import read_json
from fastgan.errors import DataError, MetricError, OutputError
from fastgan.files import write_json
from fastgan.metrics import open_extractor, reference
from fastgan.naming import named
from fastgan.tuning.metric import Metric

SHARE, MOST_HELD = 0.2, 2000
"""Of the images, and how many at most, that are held out"""
FEWEST = 16
"""Images on either side of the split"""
_NOISY = 200
"""Held-out images below which scores vary much"""
Note = Callable[[str], None]


@dataclass(frozen=True)
class ImageSet:
    """Images to train on and images to score against."""

    name: str
    train: Path
    """.fgd"""
    held: Path
    """.fgd"""
    count: int
    """Images to train on"""
    held_count: int
    side: int
    channels: int
    content: str
    """Of both parts' hashes"""

    def message(self) -> dict[str, Any]:
        """As JSON, for a worker."""
        return {**vars(self), "train": str(self.train), "held": str(self.held)}

    @classmethod
    def read(cls, message: dict[str, Any]) -> "ImageSet":
        """What `message` gave."""
        return cls(**{**message, "train": Path(message["train"]), "held": Path(message["held"])})

    @property
    def reference(self) -> Path:
        """Features of the held-out images."""
        return self.held.with_suffix(".safetensors")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A set as a user names it."""

    name: str
    source: Path
    held: Path | None
    """Images to score against; None: a part of `source`, drawn by `seed`"""
    side: int
    seed: int


class _Stamp(TypedDict):
    """What tells that sources may have changed, without reading them: sizes and times of change."""

    stamp: list[list[int]]


def wanted(
    sources: Sequence[Path], held: Sequence[Path], *, resolution: int | None, largest: int, seed: int
) -> list[tuple[Wanted, Found]]:
    """What is asked for, with names of their own, and what headers tell of it.

    largest: the side that is chosen at most where `resolution` is None. DataError for too few images.
    """
    names: list[str] = []
    asked = []
    for k, source in enumerate(sources):
        stem = source.stem or "images"
        names.append(stem if stem not in names else f"{stem}-{k + 1}")
        found = survey(source, resolution=resolution)
        own = found.resolution if found.median is None else min(found.resolution, largest)
        beside = held[k] if held else None
        if beside is None:
            _check_count(found.count, source)
        else:
            _check_both(found.count, survey(beside).count, source, beside)
        asked.append(
            (
                Wanted(name=names[-1], source=source, held=beside, side=resolution or own, seed=seed),
                found,
            )
        )
    return asked


def surveyed(asked: Wanted, found: Found) -> ImageSet:
    """A set of which nothing is packed, as far as headers tell."""
    apart = _apart(found.count) if asked.held is None else survey(asked.held).count
    return ImageSet(
        name=asked.name,
        train=asked.source,
        held=asked.held or asked.source,
        count=found.count - (apart if asked.held is None else 0),
        held_count=apart,
        side=asked.side,
        channels=found.channels,
        content="",
    )


def prepared(asked: Wanted, folder: Path, note: Note) -> ImageSet:
    """The set, packed into `folder` unless it is there. OutputError where the source has changed since."""
    place = folder / f"{asked.name}-{asked.side}-{asked.seed}"
    made = Path(f"{place}.json")
    stamp = {"stamp": [_stamp(path) for path in (asked.source, asked.held) if path is not None]}
    if not made.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _write(asked, place, note)
        write_json(made, stamp)
    elif read_json(made, _Stamp) != stamp:
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            _write(asked, Path(aside) / "set", lambda text: None)
            if _opened(asked.name, Path(aside) / "set").content != _opened(asked.name, place).content:
                raise OutputError(
                    f"{asked.source} has changed since the study in {folder.parent} began: give the images that it "
                    f"had, or begin another study with another {named('out')}"
                )
        write_json(made, stamp)
    found = _opened(asked.name, place)
    if found.held_count < _NOISY:
        note(
            f"{asked.name}: scores against {found.held_count} held-out images vary much from run to run: "
            f"{named('seeds', 3)} judges each trial by several, and {named('data')} takes images of their own"
        )
    return found


def _opened(name: str, place: Path) -> ImageSet:
    train, held = _parts(place)
    kept, apart = packed.read(train), packed.read(held)
    return ImageSet(
        name=name,
        train=train.absolute(),
        held=held.absolute(),
        count=len(kept),
        held_count=len(apart),
        side=kept.resolution,
        channels=kept.channels,
        content=f"{kept.content_hash[:24]}-{apart.content_hash[:24]}",
    )


def _parts(place: Path) -> tuple[Path, Path]:
    return Path(f"{place}-train.fgd"), Path(f"{place}-held.fgd")


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _write(asked: Wanted, place: Path, note: Note) -> None:
    dataset = open_dataset(asked.source, resolution=asked.side)
    for text in dataset.notes:
        note(text)
    train, out = _parts(place)
    if asked.held is not None:
        other = open_dataset(asked.held, resolution=asked.side, channels=dataset.channels)
        _check_both(len(dataset), len(other), asked.source, asked.held)
        packed.write(train, _part(dataset, torch.arange(len(dataset)), "to train on"))
        packed.write(out, _part(other, torch.arange(len(other)), "held out"))
        return
    count = len(dataset)
    _check_count(count, asked.source)
    rows, apart = split(asked.seed, count, _apart(count) / count)
    packed.write(train, _part(dataset, torch.from_numpy(rows), "to train on"))
    packed.write(out, _part(dataset, torch.from_numpy(apart), "held out"))


def _apart(count: int) -> int:
    """How many of so many images are held out."""
    return min(max(round(SHARE * count), FEWEST), MOST_HELD)


def _check_count(count: int, source: Path) -> None:
    if count < 2 * FEWEST:
        raise DataError(
            f"{source} holds {count} images, and a search needs {2 * FEWEST}: {FEWEST} to train on and {FEWEST} that "
            f"are held out to score by; add images, or name those to score by with {named('data')}"
        )


def _check_both(count: int, held: int, source: Path, beside: Path) -> None:
    for number, path, use in ((count, source, "to train on"), (held, beside, "to score by")):
        if number < FEWEST:
            raise DataError(f"{path} holds {number} images, and a search needs {FEWEST} {use}: add images")


def _part(dataset: Dataset, rows: torch.Tensor, what: str) -> Dataset:
    """Some images of a set, with all that is known of them."""
    images = dataset.images[rows]
    labels = None if dataset.labels is None else dataset.labels[rows]
    attributes = None if dataset.attributes is None else dataset.attributes[rows]
    known = dataset.names
    return Dataset(
        images=images,
        content_hash=content_hash(images, labels, attributes),
        labels=labels,
        class_names=dataset.class_names,
        attributes=attributes,
        attribute_names=dataset.attribute_names,
        provenance={"source": f"images of fastgan tune {what}", "of": dataset.content_hash},
        name_bytes=encode_names([known[row] for row in rows.tolist()]) if known else None,
    )


def write_reference(images: ImageSet, metric: Metric, extractor: str, device: torch.device) -> None:
    """Keep the features of the held-out images beside them, so that no worker computes them again."""
    if not metric.while_training:
        return
    network = open_extractor(extractor, device)
    if images.reference.is_file():
        try:
            reference.read(images.reference).check(network, [metric.computed])
        except MetricError:  # damaged
            images.reference.unlink()
        else:
            return
    made = reference.make_reference(packed.read(images.held), network, [metric.computed])
    reference.write(images.reference, made)
