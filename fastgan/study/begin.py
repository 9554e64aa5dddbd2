"""From what a user names to a `Study` that is ready to run: images, labels, split, pretrained network, device."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from fastgan.data import Dataset, open_dataset
from fastgan.errors import DataError, MetricError
from fastgan.study import families, split, transfer
from fastgan.study.labelled import labelled
from fastgan.study.settings import Settings
from fastgan.study.study import Study
from fastgan.study.task import Task
from fastgan.training.assemble import pick_device

LARGEST = 64
"""Pixels, unless a size is asked for: what a CPU can train GANs and classifiers on in minutes."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The images of a study, as a user names them."""

    data: Path
    test: Path | None = None
    """Test images of their own"""
    attributes: tuple[str, ...] = ()
    """To be told apart by; none: the classes"""
    left_out: tuple[str, ...] = ()
    """Classes that are not looked at"""
    group_by: str | None = None
    """A regular expression whose first group names the family of an image by its name"""
    size: int | None = None
    channels: int | None = None


def begin(
    source: Source, settings: Settings, folder: Path, *, device: str, note: Callable[[str], None]
) -> Study:
    """The study of `source`. DataError, ConfigError and MetricError for what cannot be studied, before any work."""
    dataset = _open(source.data, source.size, source.channels)
    task, data, rows = labelled(dataset, source.attributes, source.left_out, str(source.data))
    names = _names(dataset, rows)
    groups = None if source.group_by is None else families.named(names, source.group_by)
    if source.test is None:
        made = split.make(
            task,
            data,
            shares=(settings.val, settings.test),
            seed=settings.split_seed,
            groups=groups,
            where=str(source.data),
        )
    else:
        theirs = open_dataset(source.test, resolution=dataset.resolution, channels=dataset.channels)
        other, test, test_rows = labelled(theirs, source.attributes, source.left_out, str(source.test))
        _same_task(task, other, source)
        made, data = split.apart(
            task,
            data,
            test,
            share=settings.val,
            seed=settings.split_seed,
            names=(names, _names(theirs, test_rows)),
            groups=groups,
            where=(str(source.data), str(source.test)),
        )
    for text in (*_warnings(dataset), *made.notes):
        note(text)
    backbone = None
    if settings.transfer:
        try:
            backbone = transfer.open_backbone(dataset.resolution)
        except MetricError as error:
            note(f"no transfer learning: {error}")
    return Study(
        task=task,
        data=data,
        split=made,
        settings=settings,
        folder=folder,
        device=pick_device(device),
        backbone=backbone,
        note=note,
    )


def _open(path: Path, size: int | None, channels: int | None) -> Dataset:
    dataset = open_dataset(path, resolution=size, channels=channels)
    if size is None and dataset.resolution > LARGEST:
        return open_dataset(path, resolution=LARGEST, channels=channels)
    return dataset


def _names(dataset: Dataset, rows: torch.Tensor) -> tuple[str, ...]:
    names = dataset.names
    return tuple(names[row] for row in rows.tolist()) if names else ()


def _same_task(task: Task, other: Task, source: Source) -> None:
    if task != other:
        ours, theirs = {*task.names}, {*other.names}
        odd = sorted(ours ^ theirs)[0] if ours != theirs else "the order of the names"
        raise DataError(
            f"{source.data} and {source.test} do not have the same classes ({odd!r} is in one alone): name the "
            "folders alike, or leave that class out with --leave-out"
        )


def _warnings(dataset: Dataset) -> list[str]:
    found = [f"skipped {bad}" for bad in dataset.bad[:20]]
    brightest = int(dataset.images[:256].max())
    if brightest < 64:
        found.append(
            f"the images use {brightest + 1} of 256 grey levels: 16-bit images are scaled from 0..65535, so "
            "stretch those of 10 or 12 bits before"
        )
    return found
