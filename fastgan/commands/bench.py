"""`fastgan bench`: ours against the baselines, in one run, in turns."""

from pathlib import Path
from typing import Any

import click

from fastgan.commands._document import json_option, show
from fastgan.text import whole

SECTIONS = ("ops", "train", "inference")


def _shapes(
    _: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[int, ...], ...]:
    """`16,256,64,64` -> (16, 256, 64, 64)."""
    shapes = []
    for value in values:
        sizes = value.replace("x", ",").split(",")
        shape = tuple(whole(size.strip()) or 0 for size in sizes)
        if len(shape) != 4 or not all(shape):
            raise click.BadParameter(
                f"{value!r} is no shape: give four sizes as in 16,256,64,64.", param=option
            )
        shapes.append(shape)
    return tuple(shapes)


class _Bench(click.Command):
    """--json took the file that is -o's now: scripts that say so go on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, with `--json FILE` and `--json=FILE` read as `-o FILE`."""
        read: list[str] = []
        for at, word in enumerate(args):
            follows = args[at + 1] if at + 1 < len(args) else "-"
            if word.startswith("--json="):
                read += ["--out", word.removeprefix("--json=")]
            elif word == "--json" and not follows.startswith("-") and follows not in (*SECTIONS, "all"):
                read.append("--out")
            else:
                read.append(word)
        return super().parse_args(ctx, read)


@click.command(
    cls=_Bench,
    epilog="Example: fastgan bench ops --op style_epilogue --dtype bf16 --layout nhwc -o ops.json",
)
@click.argument("what", type=click.Choice([*SECTIONS, "all"]), default="all")
@click.option(
    "--device", default="auto", metavar="DEVICE", help="cpu, cuda, or auto (cuda where there is one)."
)
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="CPU threads.")
@click.option("--quick", is_flag=True, help="Few shapes and rounds: a look, not a result.")
@click.option(
    "--compile/--no-compile", "compiled", default=False, help="Measure torch.compile too (slow to start)."
)
@click.option("--op", "names", multiple=True, metavar="NAME", help="ops: only this op (repeatable).")
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    callback=_shapes,
    metavar="N,C,H,W",
    help="ops: this shape in place of the usual ones (repeatable).",
)
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(["fp32", "bf16", "fp16"]),
    help="ops: only this dtype.",
)
@click.option(
    "--layout", "layouts", multiple=True, type=click.Choice(["nchw", "nhwc"]), help="ops: only this layout."
)
@click.option(
    "--pass",
    "passes",
    multiple=True,
    type=click.Choice(["forward", "both"]),
    help="ops: only forward, or only forward and backward together.",
)
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="train, inference: only this model (repeatable)."
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="inference: this run, release or .onnx in place of ours (repeatable).",
)
@click.option(
    "--batch",
    "batches",
    multiple=True,
    type=click.IntRange(1, 65536),
    help="inference: this batch size in place of the usual ones (repeatable).",
)
@click.option(
    "--baseline",
    type=click.Choice(["plain", "eager"]),
    default="plain",
    show_default=True,
    help="train: what ratios are against.",
)
@json_option
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False),
    help="Write results, machine and versions here, as JSON.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False),
    help="Write one page here, which opens without a network.  [default: bench.html with all]",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there, where it is no earlier result.")
@click.option("--markdown", is_flag=True, help="Print plain Markdown tables.")
def command(what: str, html: str | None, markdown: bool, as_json: bool, **options: Any) -> None:
    """Measure kernels, a training step and inference against their baselines; all of them, as one table and one page.

    Contenders take turns within one process; times are medians, ratios are taken round by round and shown with
    their quartiles. On a CPU with one thread the clock is CPU time, so that other programs disturb little.
    """
    from fastgan.api.bench import bench
    from fastgan.console import console

    done = bench(what, html=html or ("bench.html" if what == "all" else None), **options)
    if as_json:
        show(done.document)
        return
    if markdown or not console().is_terminal:
        click.echo(done)
    else:
        click.echo(done.words)
        for table in done.drawn():
            console(stderr=False).print(table)
    for target in filter(None, (done.path, done.html)):
        click.echo(f"every row: {target}")
