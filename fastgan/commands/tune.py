"""`fastgan tune`: a search for the settings that train best on these images, in the time there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastgan.commands import _document as document
from fastgan.commands._console import say
from fastgan.commands._document import json_option
from fastgan.commands._group import Command

EPILOG = """\b
Examples:
  fastgan tune photos.fgd --trials 30 --trial-budget 4m --jobs 2
  fastgan tune photos.fgd --budget 2h --preset small --preset demo
  fastgan tune photos.fgd --space space.toml --seeds 3
  fastgan tune photos.fgd --storage postgresql://host/db --study photos   on each of several machines
  fastgan train photos.fgd --config photos-tune/best.toml --budget 2h
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("source", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--space",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='Settings with ranges and choices, in TOML: train.lr_g = "1e-4..4e-3 log".  [default: around the preset]',
)
@click.option("--preset", multiple=True, metavar="NAME", help="One, or several as choices.  [default: small]")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting that is the same in all trials."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the study; the same call goes on in it.  [default: SOURCE-tune]",
)
@click.option("--trials", type=int, metavar="N", help="How many.  [default: 20, or what --budget holds]")
@click.option("--budget", metavar="TIME", help="Bounds the whole, confirmation included: 30m, 8h.")
@click.option(
    "--trial-budget", metavar="LENGTH", help="Of each run: 4m, 50kimg.  [default: 4m, or what fits]"
)
@click.option(
    "--metric",
    default="kid",
    show_default=True,
    metavar="NAME",
    help="What trials are judged by: kid, fid, precision, recall, coverage ...",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DATA",
    help="Real images to judge by, one set for each SOURCE.  [default: a fifth of SOURCE, never trained on]",
)
@click.option(
    "--extractor", default="effnet-lite0", show_default=True, metavar="NAME", help="As of fastgan eval."
)
@click.option("--eval-images", default=1000, show_default=True, metavar="N", help="Generated for each score.")
@click.option("--resolution", type=int, metavar="SIZE", help="Side of the images in pixels: 8, 16, ... 4096.")
@click.option("--seeds", default=1, show_default=True, metavar="N", help="Runs a trial on each SOURCE.")
@click.option("--seed", default=0, show_default=True, metavar="N", help="Everything random follows from it.")
@click.option(
    "--pruner",
    type=click.Choice(["auto", "halving", "hyperband", "none"]),
    default="auto",
    show_default=True,
    help="What stops weak trials early.",
)
@click.option(
    "--confirm",
    default=3,
    show_default=True,
    metavar="N",
    help="How many of the best to train again; 0: none.",
)
@click.option(
    "--confirm-seeds", default=2, show_default=True, metavar="N", help="Fresh seeds for each of them."
)
@click.option(
    "--jobs", default=1, show_default=True, metavar="N", help="Trials at the same time on this machine."
)
@click.option(
    "--storage",
    metavar="PLACE",
    help="Where calls of several machines find the study: a journal file, or the URL of a database.",
)
@click.option("--study", metavar="NAME", help="Its name in --storage.  [default: the name of OUT]")
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu or cuda.")
@json_option
@click.option("--dry-run", is_flag=True, help="Check all, and print the space and what would be done.")
def command(
    source: tuple[Path, ...], settings: tuple[str, ...], as_json: bool, dry_run: bool, **options: Any
) -> None:
    """Search the settings that train best on SOURCE (images as fastgan train takes them), in trials of a few minutes.

    Each trial is a run; weak ones are stopped early. The best are trained again with fresh seeds, and OUT then holds
    best.toml, for fastgan train --config, and report.html. Ctrl-C is safe: the same call goes on.
    """
    from fastgan.api.tune import tune
    from fastgan.config import overrides

    options |= {"preset": options["preset"] or None, "data": options["data"] or None}
    with document.document(as_json) as content:
        try:
            done = tune(source, settings=overrides(settings), dry_run=dry_run, **options)
        except KeyboardInterrupt as stop:
            if stop.args and isinstance(stop.args[0], str):
                say(f"fastgan: {stop.args[0]}", err=True)
            raise
        if dry_run:
            click.echo(f"# {done.plan}\n{done.space}", nl=False)
            content.update({"folder": done.folder, "plan": done.plan, "space": done.space})
            return
        content.update({"folder": done.folder, "settings": done.best, **done.report})
        click.echo(_told(done.folder, done.report))


def _told(folder: Path, report: Any) -> str:
    from fastgan.text import quoted, shown
    from fastgan.tuning import words

    lines = [words.result(report), *(f"  {line}" for line in words.table(report))]
    return "\n".join(
        [
            *map(shown, lines),
            f"  {quoted(folder / 'report.html')}   all of it",
            "next",
            f"  fastgan train SOURCE --config {quoted(folder / 'best.toml')} --budget 2h",
        ]
    )
