"""`fastgan generate`: images from a trained or exported model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgan import allocator

if TYPE_CHECKING:
    from collections.abc import Sequence

_COUNTS = {"images": 64, "interpolation": 6, "style mix": 5}  # seeds where -n is not given
_CLASS_COLUMNS = 8  # the same, of a sheet with a row a class
_FRAMES = 50  # two seconds from a seed to the next

EXAMPLES = """\b
Examples:
  fastgan generate runs/0007 --grid                        one sheet of 64
  fastgan generate runs/0007 -n 1000 -o out/               seeds 0-999 as PNG
  fastgan generate runs/0007 --class truck,ship -n 1000    half of them each
  fastgan generate runs/0007 --class all --grid            a row a class, the same z along each column
  fastgan generate runs/0007 --attrs smiling=1,black_hair=1
  fastgan generate runs/0007 --seeds 3,14,15 --interpolate
  fastgan generate model.onnx --seeds 0-999,2000 --format webp --truncation 0.7 -o out/
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-n",
    "--count",
    type=int,
    help="How many images; seeds go up from --seed.  [default: 64; fewer for figures]",
)
@click.option("--seed", type=int, help="The first seed.  [default: 0]")
@click.option("--seeds", "spec", help="Exactly these seeds, like 0-999,2000.")
@click.option(
    "--class",
    "classes",
    multiple=True,
    help="Class by name, several by comma or again: seeds take them in turn. all: every class.  "
    "[default: as frequent as in the data]",
)
@click.option(
    "--attrs",
    "attributes",
    multiple=True,
    help="Attributes, like smiling=1,age=0.3; others are drawn from images of the data that agree.",
)
@click.option(
    "--truncation",
    type=float,
    default=1.0,
    show_default=True,
    help="Below 1: less variety, fewer odd images.",
)
@click.option("--truncation-cutoff", type=int, help="Truncate the first K layers alone.  [default: all]")
@click.option(
    "--format",
    "image_format",
    help="png, jpg, webp or npz; for --interpolate png, gif or mp4.  [default: png; with --grid, the sheet only; "
    "for --interpolate all]",
)
@click.option("--grid", is_flag=True, help="Write one sheet of all images, OUT/grid.png.")
@click.option(
    "--interpolate", is_flag=True, help="Write the way from each seed to the next, OUT/interpolation.*."
)
@click.option(
    "--frames",
    type=int,
    help="With --interpolate: frames from a seed to the next, 25 a second.  [default: 50]",
)
@click.option(
    "--style-mix",
    is_flag=True,
    help="Write OUT/style-mix.png: rows that take coarse, middle, fine styles of the columns.",
)
@click.option(
    "--rows", help="With --style-mix: seeds of the rows, like 7,9.  [default: two after the columns]"
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("generated"),
    show_default=True,
    help="Folder.",
)
@click.option("--batch", type=int, help="Images a run of the model.  [default: by device and resolution]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--runtime", default="auto", show_default=True, help="auto, torch or onnx (for .onnx files).")
@click.option(
    "--precision", help="fp32, or bf16 (torch only).  [default: fp32; of an .onnx what it was exported in]"
)
@click.option(
    "--ema",
    type=float,
    metavar="KIMG",
    help="Of several averages that one.  [default: train.ema_kimg's first]",
)
@click.option("--overwrite", is_flag=True, help="Replace what an earlier run left in OUT.")
def command(
    source: Path,
    count: int | None,
    seed: int | None,
    spec: str | None,
    classes: "Sequence[str]",
    attributes: "Sequence[str]",
    truncation: float,
    truncation_cutoff: int | None,
    image_format: str | None,
    grid: bool,
    interpolate: bool,
    frames: int | None,
    style_mix: bool,
    rows: str | None,
    out: Path,
    batch: int | None,
    device: str,
    runtime: str,
    precision: str | None,
    ema: float | None,
    overwrite: bool,
) -> None:
    """Generate images from SOURCE: a run, a checkpoint, a release .safetensors, or an exported .onnx.

    The image of a seed depends on that seed and the class, attributes and truncation asked for. A run that was
    stopped goes on when the same command is given again: images that are there are not made twice.
    OUT/manifest.jsonl lists seed, file, SHA-256, class and attributes.
    """
    allocator.keep_memory()

    from fastgan.commands import _writing
    from fastgan.commands._bars import bars
    from fastgan.inference import open_generator
    from fastgan.inference.conditions import parse_attributes
    from fastgan.inference.folder import OutputFolder

    _check_combination(grid, interpolate, frames, style_mix, rows, image_format)
    named = parse_attributes(attributes)
    kind = "interpolation" if interpolate else "style mix" if style_mix else "images"
    seeds = choose_seeds(count, seed, spec, _COUNTS[kind])
    model = open_generator(source, runtime=runtime, device=device, batch=batch, precision=precision, ema=ema)
    request = model.request(truncation, truncation_cutoff, classes=classes, attributes=named)
    if interpolate:
        write = _writing.interpolation(model, request, seeds, image_format, frames or _FRAMES)
    elif style_mix:
        write = _writing.style_mix(model, request, seeds, rows)
    else:
        if grid and len(request.classes) > 1 and image_format is None and count is None and spec is None:
            seeds = seeds[:_CLASS_COLUMNS]
        write = _writing.images(model, request, seeds, image_format, grid=grid)
    folder = OutputFolder(
        out,
        _settings(model, request),
        overwrite=overwrite,
        describe=lambda some: model.describe_conditions(some, request),
    )
    click.echo(_heading(model), err=True)
    with bars() as progress:
        said = write(folder, progress)
    click.echo(said)


def _check_combination(
    grid: bool,
    interpolate: bool,
    frames: int | None,
    style_mix: bool,
    rows: str | None,
    image_format: str | None,
) -> None:
    """ConfigError for options that mean nothing together."""
    from fastgan.errors import ConfigError

    if grid + interpolate + style_mix > 1:
        raise ConfigError("--grid, --interpolate and --style-mix each write a figure of its own: give one.")
    if frames is not None and not interpolate:
        raise ConfigError("--frames counts those of --interpolate: give both, or leave --frames away.")
    if frames is not None and frames < 1:
        raise ConfigError(f"--frames {frames} is impossible: give a number of at least 1.")
    if rows is not None and not style_mix:
        raise ConfigError("--rows names the rows of --style-mix: give both, or leave --rows away.")
    if style_mix and image_format not in (None, "png"):
        raise ConfigError(f"--style-mix writes a PNG: leave --format {image_format} away.")


def choose_seeds(count: int | None, seed: int | None, spec: str | None, default: int = 64) -> "Sequence[int]":
    """The seeds that -n, --seed and --seeds ask for; ConfigError if they contradict each other."""
    from fastgan.errors import ConfigError
    from fastgan.inference.latents import MAX_SEED, MAX_SEEDS, parse_seeds

    if spec is not None:
        if count is not None or seed is not None:
            raise ConfigError("--seeds names every seed: give either --seeds, or -n and --seed.")
        return parse_seeds(spec)
    count, seed = default if count is None else count, 0 if seed is None else seed
    if not 1 <= count <= MAX_SEEDS:
        raise ConfigError(f"-n {count} is impossible: give a number from 1 to {MAX_SEEDS:,}.")
    if not 0 <= seed <= MAX_SEED - count + 1:
        raise ConfigError(f"--seed {seed} is out of range: give a number from 0 to {MAX_SEED - count + 1}.")
    return range(seed, seed + count)


def _settings(model: Any, request: Any) -> dict[str, Any]:
    """What the images of a folder have in common; a folder with other settings is refused."""
    from fastgan import __version__

    facts = model.facts
    settings = {
        "fastgan": __version__,
        "model": facts.model,
        "fingerprint": facts.fingerprint,
        "cur_nimg": facts.cur_nimg,
        "truncation": request.truncation_psi,
        "truncation_cutoff": request.truncation_cutoff,
        "classes": ", ".join(facts.class_names[label] for label in request.classes) or None,
        "attributes": ", ".join(f"{facts.attribute_names[k]}={v:g}" for k, v in request.attributes) or None,
        "runtime": model.name,
        "precision": model.precision,
    }
    where_asked_for = ("truncation_cutoff", "classes", "attributes")
    return {key: value for key, value in settings.items() if value is not None or key not in where_asked_for}


def _heading(model: Any) -> str:
    facts = model.facts
    trained = f", {facts.cur_nimg / 1000:.1f} kimg" if facts.cur_nimg is not None else ""
    return (
        f"{facts.model} {facts.resolution} px{trained}, {model.name} on {model.device}, "
        f"{model.precision}, batch {model.batch}"
    )
