"""`fastgan generate`: images from a trained or exported model."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgan.callbacks import Callback
from fastgan.commands._console import say
from fastgan.commands._document import json_option, show
from fastgan.commands._sections import Sectioned
from fastgan.interrupts import exit_code

if TYPE_CHECKING:
    from typing import NoReturn

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
        "n",
        "seed",
        "seeds",
        "classes",
        "attributes",
        "truncation_psi",
        "truncation_cutoff",
        "noise",
    ),
    "What is written": ("format", "encoding", "per_file", "out", "overwrite", "verify"),
    "Figures": ("grid", "interpolate", "frames", "style_mix", "rows"),
    "How": ("shard", "workers", "batch", "device", "runtime", "precision", "ema", "as_json"),
}


@click.command(cls=Sectioned, sections=SECTIONS, epilog=EXAMPLES)
@click.argument("source", type=click.Path(path_type=Path), required=False)
@click.option(
    "-n",
    "--count",
    "n",
    type=int,
    help="How many images; seeds go up from --seed.  [default: 64; fewer for figures]",
)
@click.option("--seed", type=int, help="The first seed.  [default: 0]")
@click.option("--seeds", help="Exactly these seeds, like 0-999,2000.")
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
def command(source: Path | None, out: Path, verify: bool, as_json: bool, **options: Any) -> None:
    """Generate images from SOURCE: a run, a checkpoint, a release .safetensors, an exported .onnx, or hf://user/name.

    The image of a seed depends on that seed and the class, attributes and truncation asked for. A run that was
    stopped, however it was, goes on when the same command is given again: images that are there are not made twice.
    OUT/manifest.jsonl lists seed, file, SHA-256, class and attributes; OUT/fastgan.json says what made them. --verify
    ends with 3 where images are missing, with 4 where some are damaged.
    """
    if verify:
        _verify(source, out, as_json=as_json)
        return
    if source is None:
        raise click.UsageError("Missing argument 'SOURCE': a run, a checkpoint, a release or an .onnx file.")

    from fastgan.api.generate import generate
    from fastgan.inference.conditions import parse_attributes

    options["attributes"] = parse_attributes(options["attributes"])
    try:
        done = generate(source, out=out, callback=_Said(), **options)
    except KeyboardInterrupt as interruption:
        _leave(exit_code(interruption), as_json=as_json)
    click.echo(done.words, err=as_json)
    if as_json:
        show(done.facts())


class _Said(Callback):
    """Says which model runs, and how."""

    def event(self, step: int, kind: str, text: str) -> None:
        if kind == "model":
            say(text, err=True)


def _verify(source: Path | None, out: Path, *, as_json: bool) -> None:
    """Print what is wrong with a set; exit code 3 where images are missing, 4 where some are damaged."""
    from fastgan.api.verify import verify
    from fastgan.errors import FastganError, OutputError
    from fastgan.text import quoted

    if source is not None and source.is_dir() and not out.exists():
        if not any(source.iterdir()):
            raise OutputError(f"{source} is empty: there are no images to verify.")
        if (source / "fastgan.json").exists():  # the set itself, where a model stands
            raise OutputError(
                f"{out} is not there: give the set with -o, as in fastgan generate --verify -o {quoted(source)}"
            )
    found = verify(out)
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
