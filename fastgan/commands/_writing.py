"""What `fastgan generate` can write. Each function checks what is asked for and returns what will write it.

So that a mistake is refused before a folder is made; the returned function says in a sentence what is where.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from fastgan.inference import Runtime
    from fastgan.inference.conditions import Request
    from fastgan.inference.folder import OutputFolder

    Write = Callable[[OutputFolder, Progress], str]


def images(
    model: "Runtime", request: "Request", seeds: Sequence[int], image_format: str | None, *, grid: bool
) -> "Write":
    """An image for each of `seeds`, a sheet of them, or both; PNG where no format is given and no sheet."""
    from fastgan.inference import pipeline
    from fastgan.inference.writers import check_format

    if image_format is None and not grid:
        image_format = "png"
    if image_format is not None:
        check_format(image_format, model.img_channels)
    if grid:
        pipeline.grid_columns(model, len(seeds), request)

    def write(folder: "OutputFolder", progress: "Progress") -> str:
        said, begun = [], time.monotonic()
        if image_format == "npz":
            advance = _bar(progress, "images.npz", len(seeds))
            made = pipeline.write_npz(model, seeds, folder, request=request, advance=advance)
            said.append(_said(made, len(seeds), begun, folder.path / "images.npz"))
        elif image_format is not None:
            advance = _bar(progress, image_format, len(folder.missing(seeds, image_format)))
            made = pipeline.write_images(model, seeds, folder, image_format, request=request, advance=advance)
            said.append(_said(made, len(seeds), begun, folder.path))
        if grid:
            shown = len(seeds) * max(1, len(request.classes))
            advance = _bar(progress, "grid.png", shown)
            path = pipeline.write_grid(model, seeds, folder, request=request, advance=advance)
            said.append(f"{shown} images on one sheet: {path}")
            if len(request.classes) > 1:
                names = ", ".join(model.facts.class_names[label] for label in request.classes)
                said.append(f"its rows, from the top: {names}")
        return "\n".join(said)

    return write


def interpolation(
    model: "Runtime", request: "Request", seeds: Sequence[int], image_format: str | None, frames: int
) -> "Write":
    """The way from each seed to the next, as a strip and as moving pictures."""
    from fastgan.errors import ConfigError
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
            said += "\nno MP4, for which PyAV is missing: pip install 'fastgan[video]'"
        return said

    return write


def style_mix(model: "Runtime", request: "Request", seeds: Sequence[int], rows: str | None) -> "Write":
    """The paper's figure 3: `seeds` are the columns; `rows` names the seeds of the rows (None: the next two)."""
    from fastgan.inference import figures
    from fastgan.inference.latents import parse_seeds

    left = parse_seeds(rows) if rows is not None else [max(seeds) + 1, max(seeds) + 2]
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


def _said(made: int, asked: int, begun: float, where: Path) -> str:
    seconds = time.monotonic() - begun
    there = f" ({asked - made} were there already)" if made < asked else ""
    rate = f", {made / seconds:.1f} images/s" if made else ""
    return f"{made} images written{there} in {seconds:.1f} s{rate}: {where}"
