"""What `fastgan generate` can write. Each function checks what is asked for and returns what will write it.

So that a mistake is refused before a folder is made; the returned function says in a sentence what is where.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from fastgan.inference import Runtime
    from fastgan.inference.conditions import Request
    from fastgan.inference.folder import OutputFolder
    from fastgan.inference.image_sets import Layout
    from fastgan.inference.pipeline import Report
    from fastgan.inference.shards import Shard

    Write = Callable[[OutputFolder, Progress], str]


def images(
    model: "Runtime",
    request: "Request",
    seeds: Sequence[int],
    layout: "Layout | None",
    *,
    shard: "Shard",
    workers: int | None,
    grid: bool,
) -> "Write":
    """An image for each of `seeds`, or those of a shard, in this layout; a sheet of them, or both."""
    from fastgan.errors import ConfigError
    from fastgan.inference import image_sets, pipeline

    if layout is not None:
        layout.check(model, len(seeds), shard)
    if grid:
        columns = pipeline.grid_columns(model, len(seeds), request)
        if shard.count > 1:
            raise ConfigError(
                f"--grid is one sheet of all images, and this is {shard.words}: make it in a run alone."
            )

    def write(folder: "OutputFolder", progress: "Progress") -> str:
        said, several = [], len(request.classes) > 1
        sheet = _Sheet(len(seeds)) if grid and not several and layout is not None else None
        if layout is not None:
            with image_sets.open_set(model, seeds, request, folder, layout, shard) as (plan, writer):
                report = pipeline.write_set(
                    model, plan, writer, request=request, workers=workers, see=sheet.see if sheet else None,
                    advance=_bar(progress, layout.image_format, int(writer.wanted.sum())),
                )  # fmt: skip
            said.append(_said(report, len(plan.span), folder.path))
        if sheet is not None:
            path = pipeline.write_sheet(folder, sheet.images(), columns)
            said.append(f"{len(seeds)} images on one sheet: {path}")
        elif grid:
            shown = len(seeds) * max(1, len(request.classes))
            advance = _bar(progress, "grid.png", shown)
            path = pipeline.write_grid(model, seeds, folder, request=request, advance=advance)
            said.append(f"{shown} images on one sheet: {path}")
        if grid and several:
            names = ", ".join(model.facts.class_names[label] for label in request.classes)
            said.append(f"its rows, from the top: {names}")
        return "\n".join(said)

    return write


class _Sheet:
    """Collects a set's images on their way to disk, so that its sheet needs no second run of the model."""

    def __init__(self, count: int) -> None:
        self._batches: dict[int, Any] = {}
        self._count = count

    def see(self, start: int, images: Any) -> None:
        self._batches[start] = images

    def images(self) -> Any:
        import numpy as np

        return np.concatenate([self._batches[start] for start in sorted(self._batches)])[: self._count]


def interpolation(
    model: "Runtime", request: "Request", seeds: Sequence[int], image_format: str | None, frames: int
) -> "Write":
    """The way from each seed to the next, as a strip and as moving pictures."""
    from fastgan.errors import ConfigError
    from fastgan.extras import install_line
    from fastgan.inference import figures, video

    formats = (
        [image_format]
        if image_format
        else ["png", *(x for x in video.MOVIES if x != "mp4" or video.has_mp4())]
    )
    if not {*formats} <= {"png", *video.MOVIES}:
        raise ConfigError(f"--format {image_format!r} is none of --interpolate's: choose png, gif or mp4.")
    figures.check_interpolation(model, seeds, request, formats)
    moving = [name for name in formats if name in video.MOVIES]
    for name in moving:
        video.check_movie(name, len(seeds) * frames, model.resolution)

    def write(folder: "OutputFolder", progress: "Progress") -> str:
        total = ("png" in formats) * (len(seeds) - 1) * figures.STEPS + bool(moving) * len(seeds) * frames
        advance = _bar(progress, "interpolation", total)
        paths = figures.write_interpolation(
            model, seeds, folder, formats, frames=frames, request=request, advance=advance
        )
        way = "styles" if model.has_styles else "z"
        said = f"{len(seeds)} seeds, interpolated in {way}: {', '.join(map(str, paths))}"
        if not image_format and "mp4" not in formats:
            said += f"\nno MP4, for which PyAV is missing: {install_line('video')}"
        return said

    return write


def style_mix(model: "Runtime", request: "Request", seeds: Sequence[int], rows: str | None) -> "Write":
    """The paper's figure 3: `seeds` are the columns; `rows` names the seeds of the rows (None: the next two)."""
    from fastgan.inference import figures
    from fastgan.inference.latents import parse_seeds

    left = parse_seeds(rows, "rows") if rows is not None else [max(seeds) + 1, max(seeds) + 2]
    figures.check_style_mix(model, len(seeds), len(left))

    def write(folder: "OutputFolder", progress: "Progress") -> str:
        bands = list(figures.bands(model.facts.layers))
        advance = _bar(progress, "style-mix.png", len(bands) * len(left) * len(seeds))
        path = figures.write_style_mix(model, seeds, left, folder, request=request, advance=advance)
        return (
            f"seeds {', '.join(map(str, left))} with the {', then '.join(bands)} styles of seeds "
            f"{', '.join(map(str, seeds))}: {path}"
        )

    return write


def _bar(progress: "Progress", name: str, total: int) -> Callable[[int], None]:
    task = progress.add_task(name, total=total)
    return lambda n: progress.advance(task, n)


def _said(report: "Report", asked: int, where: Path) -> str:
    there = f" ({asked - report.images} were there already)" if report.images < asked else ""
    said = f"{report.images} images written{there} in {report.seconds:.1f} s"
    if not report.images:
        return f"{said}: {where}"
    shares = {name: f"{name} {100 * share:.0f}%" for name, share in report.busy.items()}
    shares["encode"] += f" of {report.workers} thread{'s' * (report.workers > 1)}"
    return f"{said}, {report.rate:.1f} images/s: {where}\nbusy: {', '.join(shares.values())}"
