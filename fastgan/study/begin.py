"""From what a user names to a `Study` that is ready to run: images, labels, split, pretrained network, device."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from fastgan.config import require
from fastgan.data import Dataset, passed_over
from fastgan.device import choose
from fastgan.errors import DataError, MetricError
from fastgan.naming import named
from fastgan.study import cnn, families, gan, opening, origin, split, transfer
from fastgan.study.labelled import Labelled, check_left_out, labelled
from fastgan.study.settings import Settings
from fastgan.study.study import Study
from fastgan.study.task import Task


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
    near: float = families.ALIKE
    """The correlation above which two images are near copies; 1: exact copies alone"""
    size: int | None = None
    channels: int | None = None
    max_pixels: int | None = None
    """Of a larger image, which is skipped; None: fastgan.data.decode.MAX_PIXELS"""

    def __post_init__(self) -> None:
        require(
            0 < self.near <= 1,
            f"{named('near')} {self.near:g} must be above 0 and at most 1: {families.ALIKE:g} is the default, and 1 "
            "takes exact copies alone for copies",
        )
        if self.size is not None:
            low = min(max(opening.SMALLEST, opening.power_from(self.size + 1) // 2), 2048)
            require(
                self.size in (low, 2 * low),
                f"{named('size')} {self.size} must be a power of two from {opening.SMALLEST} to 4096, for GANs make "
                f"such images: {low} and {2 * low} are the nearest",
            )


def begin(
    source: Source, settings: Settings, folder: Path, *, device: str, note: Callable[[str], None]
) -> Study:
    """The study of `source`. DataError, ConfigError and MetricError for what cannot be studied, before any work."""
    where = choose(device)
    if source.size is not None and where.type == "cpu":
        cnn.check_memory(source.size)
    dataset, decided = opening.open_images(source.data, source.size, source.channels, source.max_pixels)
    task, data, made = _split(source, settings, dataset)
    for text in (*decided, *_warnings(dataset), *made.notes):
        note(text)
    held = data.images[torch.cat([made.val, made.test])]
    begun_from = None
    if settings.gan_init_from:
        begun_from = origin.open_origin(Path(settings.gan_init_from))
        origin.unseen(begun_from, held, note, source.near)
    backbone = None
    if settings.transfer:
        try:
            backbone = transfer.open_backbone(dataset.resolution)
        except MetricError as error:
            note(f"no transfer learning: {error}")
    study = Study(
        task=task,
        data=data,
        split=made,
        settings=settings,
        folder=folder,
        device=where,
        backbone=backbone,
        near=source.near,
        origin=begun_from,
        note=note,
    )
    if begun_from is not None:
        for text in origin.fits(begun_from, study.gan_config(), gan.data_set(task, study.pool)):
            note(text)
    return study


def _split(source: Source, settings: Settings, dataset: Dataset) -> tuple[Task, Labelled, split.Split]:
    """The task, all images, test images of their own included, and who is on which side."""
    where = str(source.data)
    theirs = None
    if source.test is not None:
        theirs, _ = opening.open_images(source.test, dataset.resolution, dataset.channels, source.max_pixels)
    if not source.attributes:
        others = {} if theirs is None else {str(source.test): theirs}
        check_left_out(source.left_out, {where: dataset} | others)
    task, data, rows = labelled(dataset, source.attributes, source.left_out, where)
    names = _names(dataset, rows)
    groups = None if source.group_by is None else families.by_name(names, source.group_by)
    seed, near = settings.split_seed, source.near
    if theirs is None:
        shares = (settings.val, settings.test)
        made = split.make(task, data, shares=shares, seed=seed, groups=groups, near=near, where=where)
        return task, data, made
    other, test, test_rows = labelled(theirs, source.attributes, source.left_out, str(source.test))
    _same_task(task, other, source)
    test_names = _names(theirs, test_rows)
    test_groups = [] if groups is None else families.by_name(test_names, source.group_by or "", needed=False)
    made, both = split.apart(
        task,
        data,
        test,
        share=settings.val,
        seed=seed,
        names=(names, test_names),
        groups=None if groups is None else (groups, test_groups),
        near=near,
        where=(where, str(source.test)),
    )
    return task, both, made


def _names(dataset: Dataset, rows: torch.Tensor) -> tuple[str, ...]:
    names = dataset.names
    return tuple(names[row] for row in rows.tolist()) if names else ()


def _same_task(task: Task, other: Task, source: Source) -> None:
    if task != other:
        ours, theirs = {*task.names}, {*other.names}
        odd = sorted(ours ^ theirs)[0] if ours != theirs else "the order of the names"
        raise DataError(
            f"{source.data} and {source.test} do not have the same classes ({odd!r} is in one alone): name the "
            f"folders alike, or leave that class out with {named('leave_out')}"
        )


def _warnings(dataset: Dataset) -> list[str]:
    found = [*passed_over.all_notes(dataset.notes), *(f"skipped {bad}" for bad in dataset.bad[:20])]
    brightest = int(dataset.images[:256].max())
    if brightest < 64:
        found.append(
            f"the images use {brightest + 1} of 256 grey levels: 16-bit images are scaled from 0..65535, so "
            "stretch those of 10 or 12 bits before"
        )
    return found
