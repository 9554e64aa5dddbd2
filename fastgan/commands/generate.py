"""`fastgan generate`: images from a trained or exported model."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgan import allocator
from fastgan.commands._console import say
from fastgan.commands._document import json_option, show
from fastgan.commands._sections import Sectioned
from fastgan.interrupts import exit_code

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

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
  fastgan generate runs/0007 -n 1000000 --runtime fastest --precision any -o out/
  fastgan generate runs/0007 -n 1000000 --format webdataset --shard 3/16 -o out/
  fastgan generate --verify -o out/                        is it whole?
"""

SECTIONS = {
    "Which images": (
        "count",
        "seed",
        "spec",
        "classes",
        "attributes",
        "truncation_psi",
        "truncation_cutoff",
        "noise",
    ),
    "What is written": ("image_format", "encoding", "per_file", "out", "overwrite", "verify"),
    "Figures": ("grid", "interpolate", "frames", "style_mix", "rows"),
    "How": ("shard", "workers", "batch", "device", "runtime", "precision", "ema", "as_json"),
}


@click.command(cls=Sectioned, sections=SECTIONS, epilog=EXAMPLES)
@click.argument("source", type=click.Path(path_type=Path), required=False)
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
    "truncation_psi",
    type=float,
    default=1.0,
    show_default=True,
    help="Below 1: less variety, fewer odd images.",
)
@click.option(
    "--noise",
    default="const",
    show_default=True,
    help="The model's constant noise (const), another for each seed (random), or none.",
)
@click.option("--truncation-cutoff", type=int, help="Truncate the first K layers alone.  [default: all]")
@click.option(
    "--format",
    "image_format",
    help="png, jpg, webp, webp-lossless; npz, webdataset (tars) or parquet; for --interpolate png, gif or mp4.  "
    "[default: png; with --grid, the sheet only; for --interpolate all]",
)
@click.option(
    "--encoding",
    help="Images inside of webdataset and parquet: png, jpg, webp, webp-lossless.  [default: png]",
)
@click.option(
    "--per-file",
    type=int,
    metavar="N",
    help="Images a webdataset, parquet or npz file.  [default: 1000; all in one npz]",
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
@click.option("--overwrite", is_flag=True, help="Replace what an earlier run left in OUT.")
@click.option(
    "--verify", is_flag=True, help="Hold OUT against its manifests instead of writing; needs no SOURCE."
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Make part I of N of the images, counted from 0; auto asks Slurm or (auto/N) a Kubernetes job.  "
    "[default: torchrun's RANK and WORLD_SIZE]",
)
@click.option("--workers", type=int, help="Threads that encode.  [default: one a core]")
@click.option("--batch", type=int, help="Images a run of the model.  [default: by device and resolution]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--runtime",
    default="auto",
    show_default=True,
    help="auto, torch or onnx (for .onnx files); fastest measures them, in batches of several sizes, once.",
)
@click.option(
    "--precision",
    help="fp32, or bf16 (torch only); any: for --runtime fastest, which then may take bf16, fp16 and int8, too.  "
    "[default: fp32; of an .onnx what it was exported in]",
)
@json_option
@click.option(
    "--ema",
    type=float,
    metavar="KIMG",
    help="Of several averages that one.  [default: train.ema_kimg's first]",
)
def command(
    source: Path | None,
    count: int | None,
    seed: int | None,
    spec: str | None,
    classes: "Sequence[str]",
    attributes: "Sequence[str]",
    truncation_psi: float,
    truncation_cutoff: int | None,
    noise: str,
    image_format: str | None,
    encoding: str | None,
    per_file: int | None,
    grid: bool,
    interpolate: bool,
    frames: int | None,
    style_mix: bool,
    rows: str | None,
    out: Path,
    overwrite: bool,
    verify: bool,
    shard: str | None,
    workers: int | None,
    batch: int | None,
    device: str,
    runtime: str,
    precision: str | None,
    ema: float | None,
    as_json: bool,
) -> None:
    """Generate images from SOURCE: a run, a checkpoint, a release .safetensors, or an exported .onnx.

    The image of a seed depends on that seed and the class, attributes and truncation asked for. A run that was
    stopped, however it was, goes on when the same command is given again: images that are there are not made twice.
    OUT/manifest.jsonl lists seed, file, SHA-256, class and attributes; OUT/fastgan.json says what made them. --verify
    ends with 3 where images are missing, with 4 where some are damaged.
    """
    if verify:
        _verify(out, as_json=as_json)
        return
    if source is None:
        raise click.UsageError("Missing argument 'SOURCE': a run, a checkpoint, a release or an .onnx file.")
    allocator.keep_memory()

    from fastgan.commands import _writing
    from fastgan.commands._bars import bars
    from fastgan.commands._opening import open_model
    from fastgan.inference.conditions import parse_attributes
    from fastgan.inference.folder import OutputFolder, stored_settings
    from fastgan.inference.image_sets import Layout
    from fastgan.inference.plan import seeds_text
    from fastgan.inference.runs import lanes_here
    from fastgan.inference.shards import find_shard

    _check_combination(grid, interpolate, frames, style_mix, rows, image_format, runtime)
    _check_parts(interpolate or style_mix, shard, workers, overwrite, encoding, per_file)
    part = find_shard(shard)
    named = parse_attributes(attributes)
    kind = "interpolation" if interpolate else "style mix" if style_mix else "images"
    layout = None
    if kind == "images" and not (grid and image_format is None):
        layout = Layout(image_format=image_format or "png", encoding=encoding, per_file=per_file)
    seeds = choose_seeds(count, seed, spec, _COUNTS[kind])
    device = _device(device, part.count)
    model = open_model(
        source, stored=stored_settings(out) if layout and not overwrite else None, shards=part.count, runtime=runtime,
        precision=precision, batch=batch, device=device, lanes=1 if style_mix else lanes_here(), ema=ema,
    )  # fmt: skip
    request = model.request(truncation_psi, truncation_cutoff, classes=classes, attributes=named, noise=noise)
    if interpolate:
        write = _writing.interpolation(model, request, seeds, image_format, frames or _FRAMES)
    elif style_mix:
        write = _writing.style_mix(model, request, seeds, rows)
    else:
        if grid and len(request.classes) > 1 and image_format is None and count is None and spec is None:
            seeds = seeds[:_CLASS_COLUMNS]
        write = _writing.images(model, request, seeds, layout, shard=part, workers=workers, grid=grid)
    folder = OutputFolder(out, _settings(model, request), overwrite=overwrite)
    say(_heading(model) + (f", {part.words}" if part.count > 1 else ""), err=True)
    try:
        with bars() as progress:
            said, facts = write(folder, progress)
    except KeyboardInterrupt as interruption:
        _leave(exit_code(interruption), as_json=as_json)
    if as_json:
        click.echo(said, err=True)
        show(
            {"out": out, "seeds": seeds_text(seeds), "shard": part.fraction, "model": _facts(model), **facts}
        )
    else:
        click.echo(said)


def _facts(model: Any) -> dict[str, Any]:
    """Which model ran, and how."""
    known = model.describe()
    names = ("source", "model", "resolution", "img_channels", "cur_nimg", "fingerprint")
    return {name: known[name] for name in (*names, "runtime", "device", "precision", "batch")}


def _verify(out: Path, *, as_json: bool) -> None:
    """Print what is wrong with a set; exit code 3 where images are missing, 4 where some are damaged."""
    from fastgan.commands._bars import bars
    from fastgan.errors import FastganError
    from fastgan.inference.verify import verify

    with bars() as progress:
        task = progress.add_task("verify", total=None)
        found = verify(out, lambda done, total: progress.update(task, completed=done, total=total))
    for line in found.lines():
        say(line, err=as_json)
    if not as_json:
        found.check()
        return
    try:
        found.check()
    except FastganError as error:
        click.echo(f"fastgan: error: {error}", err=True)
        show({**found.facts(), "error": str(error)})
        click.get_current_context().exit(error.exit_code)
    show(found.facts())


def _leave(code: int, *, as_json: bool) -> "NoReturn":
    """End at once: the model may be in the middle of a batch, which nothing else interrupts."""
    click.echo("fastgan: interrupted; what is whole is kept, and the same command goes on.", err=True)
    if as_json:
        show({"error": "interrupted"})
    sys.stdout.flush()
    os._exit(code)


def _device(device: str, shards: int) -> str:
    """Processes that torchrun or Slurm start on one machine share its GPUs out."""
    from fastgan.inference.shards import local_rank

    if device != "auto" or shards == 1:
        return device
    import torch

    gpus = torch.cuda.device_count()
    return f"cuda:{local_rank() % gpus}" if gpus > 1 else device


def _check_parts(
    figure: bool,
    shard: str | None,
    workers: int | None,
    overwrite: bool,
    encoding: str | None,
    per_file: int | None,
) -> None:
    """ConfigError for options of sets of images that mean nothing together, or for a figure."""
    from fastgan.errors import ConfigError
    from fastgan.inference.shards import find_shard

    given = {"--shard": shard, "--workers": workers, "--encoding": encoding, "--per-file": per_file}
    meaningless = [name for name, value in given.items() if figure and value is not None]
    if meaningless:
        raise ConfigError(f"{meaningless[0]} is for sets of images, and a figure is none: leave it away.")
    if workers is not None and not 1 <= workers <= 256:
        raise ConfigError(f"--workers {workers} is impossible: give a number from 1 to 256.")
    if overwrite and find_shard(shard).count > 1:
        raise ConfigError(
            "--overwrite would remove what the other shards wrote: choose another folder with -o, or empty this one."
        )


def _check_combination(
    grid: bool,
    interpolate: bool,
    frames: int | None,
    style_mix: bool,
    rows: str | None,
    image_format: str | None,
    runtime: str,
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
    if (interpolate or style_mix) and runtime == "fastest":
        raise ConfigError("--runtime fastest is for sets of images, and a figure is none: leave it away.")
    if style_mix and image_format not in (None, "png"):
        raise ConfigError(f"--style-mix writes a PNG: leave --format {image_format} away.")


def choose_seeds(count: int | None, seed: int | None, spec: str | None, default: int = 64) -> "Sequence[int]":
    """The seeds that -n, --seed and --seeds ask for; ConfigError if they contradict each other."""
    from fastgan.errors import ConfigError
    from fastgan.seeds import MAX_SEED, MAX_SEEDS, parse_seeds

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
    from fastgan.version import __version__

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
        "noise": request.noise if request.noise != "const" else None,
        "runtime": model.name,
        "precision": model.precision,
    }
    where_asked_for = ("truncation_cutoff", "classes", "attributes", "noise")
    return {key: value for key, value in settings.items() if value is not None or key not in where_asked_for}


def _heading(model: Any) -> str:
    facts = model.facts
    trained = f", {facts.cur_nimg / 1000:.1f} kimg" if facts.cur_nimg is not None else ""
    return (
        f"{facts.model} {facts.resolution} px{trained}, {model.name} on {model.device}, "
        f"{model.precision}, batch {model.batch}"
    )
