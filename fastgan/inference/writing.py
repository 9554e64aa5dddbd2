"""What `fastgan generate` can write. Each function checks what is asked for and returns what will write it.

So that a mistake is refused before a folder is made; the returned function says in a sentence what is where.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastgan.errors import ConfigError
from fastgan.extras import install_line
from fastgan.inference import figures, image_sets, pipeline, video
from fastgan.inference.conditions import Request
from fastgan.inference.folder import OutputFolder
from fastgan.inference.grid import sheet_columns
from fastgan.inference.image_sets import Layout
from fastgan.inference.pipeline import Report
from fastgan.inference.plan import Plan
from fastgan.inference.runtime import Runtime
from fastgan.inference.shards import Shard
from fastgan.naming import named
from fastgan.progress import Progress
from fastgan.seeds import as_seeds
from fastgan.text import shown

Write = Callable[[OutputFolder, Progress], tuple[str, dict[str, Any]]]
"""Writes, and gives what it did in words and as facts for JSON"""


def images(
    model: Runtime,
    request: Request,
    seeds: Sequence[int],
    layout: Layout | None,
    *,
    shard: Shard,
    workers: int | None,
    grid: bool,
) -> Write:
    """An image for each of `seeds`, or those of a shard, in this layout; a sheet of them, or both."""
    if layout is not None:
        layout.check(model, len(seeds), shard)
    if grid:
        columns = sheet_columns(len(seeds), model.resolution, request)
        if shard.count > 1:
            raise ConfigError(
                f"{named('grid')} is one sheet of all images, and this is {shard.words}: make it in a run alone."
            )

    def write(folder: OutputFolder, progress: Progress) -> tuple[str, dict[str, Any]]:
        said, several = [], len(request.classes) > 1
        facts: dict[str, Any] = {}
        sheet = _Sheet(len(seeds)) if grid and not several and layout is not None else None
        if layout is not None:
            with image_sets.open_set(model, seeds, request, folder, layout, shard) as (plan, writer):
                report = pipeline.write_set(
                    model, plan, writer, request=request, workers=workers, see=sheet.see if sheet else None,
                    advance=progress.bar(layout.image_format, int(writer.wanted.sum())),
                )  # fmt: skip
            facts |= _facts(report, len(plan.span))
            if plan.span:
                said.append(_said(report, len(plan.span), folder.path))
            else:
                facts["note"] = _nothing(plan, layout)
                said.append(facts["note"])
        if sheet is not None:
            path = pipeline.write_sheet(folder, sheet.images(), columns)
            said.append(f"{len(seeds)} images on one sheet: {path}")
        elif grid:
            drawn = len(seeds) * max(1, len(request.classes))
            advance = progress.bar("grid.png", drawn)
            path = pipeline.write_grid(model, seeds, folder, request=request, advance=advance)
            said.append(f"{drawn} images on one sheet: {path}")
        if grid:
            facts["grid"] = path
        if grid and several:
            names = shown(", ".join(model.facts.class_names[label] for label in request.classes))
            said.append(f"its rows, from the top: {names}")
        return "\n".join(said), facts

    return write


def _nothing(plan: Plan, layout: Layout) -> str:
    """Why a shard has nothing to make, and what would share the images out."""
    one, option = ("file", "per_file") if layout.in_archives else ("batch", "batch")
    count, shards = len(plan.seeds), plan.shard.count
    units = -(-count // plan.unit)
    many = {"file": "files", "batch": "batches"}[one]
    share = f"{named(option, max(1, count // shards))} would share them out, or " if count >= shards else ""
    return (
        f"shard {plan.shard.index}/{shards} has nothing to make: {count:,} images in {many} of {plan.unit:,} are "
        f"{units} {many if units != 1 else one}, each made by one shard alone; {share}start {units} "
        f"shard{'s' * (units != 1)}"
    )


def _facts(report: Report, asked: int) -> dict[str, Any]:
    return {
        "written": report.images,
        "there_already": asked - report.images,
        "seconds": round(report.seconds, 3),
        "images_per_second": round(report.rate, 3),
        "busy": report.busy,
    }


class _Sheet:
    """Collects a set's images on their way to disk, so that its sheet needs no second run of the model."""

    def __init__(self, count: int) -> None:
        self._batches: dict[int, Any] = {}
        self._count = count

    def see(self, start: int, images: Any) -> None:
        self._batches[start] = images

    def images(self) -> Any:
        return np.concatenate([self._batches[start] for start in sorted(self._batches)])[: self._count]


def interpolation(
    model: Runtime, request: Request, seeds: Sequence[int], image_format: str | None, frames: int
) -> Write:
    """The way from each seed to the next, as a strip and as moving pictures."""
    formats = (
        [image_format]
        if image_format
        else ["png", *(x for x in video.MOVIES if x != "mp4" or video.has_mp4())]
    )
    if not {*formats} <= {"png", *video.MOVIES}:
        raise ConfigError(
            f"{named('format')} {image_format!r} is none of {named('interpolate')}'s: choose png, gif or mp4."
        )
    figures.check_interpolation(model, seeds, request, formats)
    moving = [name for name in formats if name in video.MOVIES]
    for name in moving:
        video.check_movie(name, len(seeds) * frames, model.resolution)

    def write(folder: OutputFolder, progress: Progress) -> tuple[str, dict[str, Any]]:
        total = ("png" in formats) * (len(seeds) - 1) * figures.STEPS + bool(moving) * len(seeds) * frames
        advance = progress.bar("interpolation", total)
        paths = figures.write_interpolation(
            model, seeds, folder, formats, frames=frames, request=request, advance=advance
        )
        way = "styles" if model.has_styles else "z"
        said = f"{len(seeds)} seeds, interpolated in {way}: {', '.join(map(shown, paths))}"
        if not image_format and "mp4" not in formats:
            said += f"\nno MP4, for which PyAV is missing: {install_line('video')}"
        return said, {"interpolation": paths}

    return write


def style_mix(
    model: Runtime, request: Request, seeds: Sequence[int], rows: str | Sequence[int] | None
) -> Write:
    """The paper's figure 3: `seeds` are the columns; `rows` names the seeds of the rows (None: the next two)."""
    left = list(as_seeds(rows, "rows")) if rows is not None else [max(seeds) + 1, max(seeds) + 2]
    figures.check_style_mix(model, len(seeds), len(left))

    def write(folder: OutputFolder, progress: Progress) -> tuple[str, dict[str, Any]]:
        bands = list(figures.bands(model.facts.layers))
        advance = progress.bar("style-mix.png", len(bands) * len(left) * len(seeds))
        path = figures.write_style_mix(model, seeds, left, folder, request=request, advance=advance)
        said = (
            f"seeds {', '.join(map(str, left))} with the {', then '.join(bands)} styles of seeds "
            f"{', '.join(map(str, seeds))}: {path}"
        )
        return said, {"style_mix": path, "rows": left}

    return write


def _said(report: Report, asked: int, where: Path) -> str:
    there = f" ({asked - report.images} were there already)" if report.images < asked else ""
    said = f"{report.images} images written{there} in {report.seconds:.1f} s"
    if not report.images:
        return f"{said}: {where}"
    shares = {name: f"{name} {100 * share:.0f}%" for name, share in report.busy.items()}
    shares["encode"] += f" of {report.workers} thread{'s' * (report.workers > 1)}"
    return f"{said}, {report.rate:.1f} images/s: {where}\nbusy: {', '.join(shares.values())}"
