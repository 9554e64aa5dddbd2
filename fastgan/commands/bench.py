"""`fastgan bench`: ours against the baselines, in one run, in turns."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgan.commands._document import json_option, show
from fastgan.errors import OutputError
from fastgan.text import whole

if TYPE_CHECKING:
    from fastgan.benchmark.report import Table

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
    "json_path",
    type=click.Path(dir_okay=False),
    help="Write results, machine and versions here, as JSON.",
)
@click.option(
    "--html",
    "html_path",
    type=click.Path(dir_okay=False),
    help="Write one page here, which opens without a network.  [default: bench.html with all]",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there, where it is no earlier result.")
@click.option("--markdown", is_flag=True, help="Print plain Markdown tables.")
def command(
    what: str,
    device: str,
    threads: int,
    quick: bool,
    compiled: bool,
    names: tuple[str, ...],
    shapes: tuple[tuple[int, ...], ...],
    dtypes: tuple[str, ...],
    layouts: tuple[str, ...],
    passes: tuple[str, ...],
    models: tuple[str, ...],
    sources: tuple[Path, ...],
    batches: tuple[int, ...],
    baseline: str,
    json_path: str | None,
    html_path: str | None,
    overwrite: bool,
    markdown: bool,
    as_json: bool,
) -> None:
    """Measure kernels, a training step and inference against their baselines; all of them, as one table and one page.

    Contenders take turns within one process; times are medians, ratios are taken round by round and shown with
    their quartiles. On a CPU with one thread the clock is CPU time, so that other programs disturb little.
    """
    from rich.text import Text

    from fastgan.benchmark import page, report, suite
    from fastgan.benchmark.request import Request
    from fastgan.console import console
    from fastgan.files import atomic_write, check_output, write_json
    from fastgan.pages.document import MARK

    if what == "all":
        html_path = html_path or "bench.html"

    request = Request(
        sections=SECTIONS if what == "all" else (what,),
        device=device,
        threads=threads,
        quick=quick,
        compiled=compiled,
        names=names,
        shapes=shapes,
        dtypes=dtypes,
        layouts=layouts,
        passes=passes,
        models=models,
        sources=sources,
        batches=batches,
        baseline=baseline,
    )
    for option, target in (("-o", json_path), ("--html", html_path)):
        if target:
            _check_target(option, Path(target))
            mark = b'"load_average"' if option == "--json" else MARK
            check_output(target, overwrite=overwrite, sources=sources, replaces=mark)
    terminal = console()
    with terminal.status("starting") as status:
        document = suite.run(request, progress=lambda text: status.update(Text(text)))  # no markup in names
    if json_path:
        write_json(json_path, document)
    if html_path:
        with atomic_write(html_path) as temporary:
            temporary.write_text(page.render(document), encoding="utf-8")
    if as_json:
        show(document)
        return
    click.echo(report.describe(document))
    for title, table in _tables(what, document):
        if markdown or not terminal.is_terminal:
            click.echo(f"\n{title}\n\n{report.markdown(table)}")
        else:
            console(stderr=False).print(report.rich_table(title, table))
    for target in filter(None, (json_path, html_path)):
        click.echo(f"every row: {target}")


def _tables(what: str, document: dict[str, Any]) -> "list[tuple[str, Table]]":
    """One of everything, or those of the section that was asked for."""
    from fastgan.benchmark import report, summary

    if what == "all":
        return [("in short", summary.summary(document))]
    return report.tables(what, document["sections"][what]["rows"])


def _check_target(option: str, path: Path) -> None:
    """Fail before the measuring rather than after it."""
    folder = path.absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{folder} cannot be made ({error.strerror})"
        raise OutputError(f"{option} {path}: {reason}; choose another place.") from error
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{option} {path}: {folder} is not writable; choose another place.")
