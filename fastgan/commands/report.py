"""`fastgan report`: a training run as one page."""

from pathlib import Path

import click

from fastgan.commands._console import say
from fastgan.commands._document import document, json_option
from fastgan.commands._group import Command


@click.command(cls=Command, epilog="Example: fastgan report runs/0007 -o monday.html")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="The file to write.  [default: RUN/report.html]"
)
@click.option("--overwrite", is_flag=True, help="Replace what is there, where it is no earlier report.")
@json_option
def command(run: Path, out: Path | None, overwrite: bool, as_json: bool) -> None:
    """Write one HTML page about RUN: curves, samples over time beside training images, warnings, settings, machine.

    Everything is inside the file: it opens without a network. RUN may still be training.
    """
    from fastgan.api.report import write_report

    with document(as_json) as content:
        page = write_report(run, out, overwrite=overwrite)
        size = page.stat().st_size
        say(f"{page}, {size / 1e6:.1f} MB")
        content.update({"report": page, "bytes": size})
