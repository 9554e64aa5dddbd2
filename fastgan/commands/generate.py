"""`fastgan generate`: images from a trained or exported model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgan import allocator

if TYPE_CHECKING:
    from collections.abc import Sequence


EXAMPLES = """\b
Examples:
  fastgan generate runs/0007 --grid                        one sheet of 64
  fastgan generate runs/0007 -n 1000 -o out/               seeds 0-999 as PNG
  fastgan generate model.onnx --seeds 0-999,2000 --format webp --truncation 0.7 -o out/
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-n", "--count", type=int, help="How many images; seeds go up from --seed.  [default: 64]")
@click.option("--seed", type=int, help="The first seed.  [default: 0]")
@click.option("--seeds", "spec", help="Exactly these seeds, like 0-999,2000.")
@click.option(
    "--truncation",
    type=float,
    default=1.0,
    show_default=True,
    help="Below 1: less variety, fewer odd images.",
)
@click.option(
    "--format",
    "image_format",
    help="png, jpg, webp or npz.  [default: png; with --grid alone, the sheet only]",
)
@click.option("--grid", is_flag=True, help="Write one sheet of all images, OUT/grid.png.")
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
@click.option("--precision", default="fp32", show_default=True, help="fp32, or bf16 (torch only).")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier run left in OUT.")
def command(
    source: Path,
    count: int | None,
    seed: int | None,
    spec: str | None,
    truncation: float,
    image_format: str | None,
    grid: bool,
    out: Path,
    batch: int | None,
    device: str,
    runtime: str,
    precision: str,
    overwrite: bool,
) -> None:
    """Generate images from SOURCE: a run, a checkpoint, a release .safetensors, or an exported .onnx.

    The image of a seed depends on that seed alone. A run that was stopped goes on when the same command is
    given again: images that are there are not made twice. OUT/manifest.jsonl lists seed, file and SHA-256.
    """
    allocator.keep_memory()

    from fastgan import __version__
    from fastgan.inference import open_generator
    from fastgan.inference.folder import OutputFolder
    from fastgan.inference.grid import columns_for
    from fastgan.inference.writers import check_format

    seeds = choose_seeds(count, seed, spec)
    model = open_generator(source, runtime=runtime, device=device, batch=batch, precision=precision)
    model.check_truncation(truncation)
    if image_format is None and not grid:
        image_format = "png"
    if image_format is not None:
        check_format(image_format, model.img_channels)
    if grid:
        columns_for(len(seeds), model.resolution)
    settings = {
        "fastgan": __version__,
        "model": model.facts.model,
        "fingerprint": model.facts.fingerprint,
        "cur_nimg": model.facts.cur_nimg,
        "truncation": truncation,
        "runtime": model.name,
        "precision": model.precision,
    }
    folder = OutputFolder(out, settings, overwrite=overwrite)
    click.echo(_heading(model), err=True)
    written = _write(model, seeds, folder, image_format, grid, truncation)
    click.echo(written)


def choose_seeds(count: int | None, seed: int | None, spec: str | None) -> "Sequence[int]":
    """The seeds that -n, --seed and --seeds ask for; ConfigError if they contradict each other."""
    from fastgan.errors import ConfigError
    from fastgan.inference.latents import MAX_SEED, MAX_SEEDS, parse_seeds

    if spec is not None:
        if count is not None or seed is not None:
            raise ConfigError("--seeds names every seed: give either --seeds, or -n and --seed.")
        return parse_seeds(spec)
    count, seed = 64 if count is None else count, 0 if seed is None else seed
    if not 1 <= count <= MAX_SEEDS:
        raise ConfigError(f"-n {count} is impossible: give a number from 1 to {MAX_SEEDS:,}.")
    if not 0 <= seed <= MAX_SEED - count + 1:
        raise ConfigError(f"--seed {seed} is out of range: give a number from 0 to {MAX_SEED - count + 1}.")
    return range(seed, seed + count)


def _write(
    model: Any, seeds: Any, folder: Any, image_format: str | None, grid: bool, truncation: float
) -> str:
    """Write what was asked for, with a progress bar, and say in one sentence what is where."""
    import time

    from fastgan.commands._bars import bars
    from fastgan.inference.pipeline import write_grid, write_images, write_npz

    said = []
    begun = time.monotonic()
    with bars() as progress:
        if image_format == "npz":
            task = progress.add_task("images.npz", total=len(seeds))
            made = write_npz(
                model, seeds, folder, truncation_psi=truncation, advance=lambda n: progress.advance(task, n)
            )
            said.append(_said(made, len(seeds), begun, folder.path / "images.npz"))
        elif image_format is not None:
            task = progress.add_task(image_format, total=len(folder.missing(seeds, image_format)))
            made = write_images(
                model, seeds, folder, image_format,
                truncation_psi=truncation, advance=lambda n: progress.advance(task, n),
            )  # fmt: skip
            said.append(_said(made, len(seeds), begun, folder.path))
        if grid:
            task = progress.add_task("grid.png", total=len(seeds))
            sheet = write_grid(
                model, seeds, folder, truncation_psi=truncation, advance=lambda n: progress.advance(task, n)
            )
            said.append(f"{len(seeds)} images on one sheet: {sheet}")
    return "\n".join(said)


def _said(made: int, asked: int, begun: float, where: Path) -> str:
    import time

    seconds = time.monotonic() - begun
    there = f" ({asked - made} were there already)" if made < asked else ""
    rate = f", {made / seconds:.1f} images/s" if made else ""
    return f"{made} images written{there} in {seconds:.1f} s{rate}: {where}"


def _heading(model: Any) -> str:
    facts = model.facts
    trained = f", {facts.cur_nimg / 1000:.1f} kimg" if facts.cur_nimg is not None else ""
    return (
        f"{facts.model} {facts.resolution} px{trained}, {model.name} on {model.device}, "
        f"{model.precision}, batch {model.batch}"
    )
