"""`fastgan report`: a training run as one page."""

from pathlib import Path

import click

from fastgan.commands._console import say
from fastgan.commands._document import document, json_option


@click.command(epilog="Example: fastgan report runs/0007 -o monday.html")
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
    from fastgan.commands._real import real_images
    from fastgan.errors import OutputError
    from fastgan.files import atomic_write, check_output
    from fastgan.pages.document import MARK
    from fastgan.report.page import render
    from fastgan.report.read import read

    given, out = out, out or run / "report.html"
    own = [file for file in run.iterdir() if file.name != "report.html"] if run.is_dir() else []
    check_output(out, overwrite=overwrite or given is None, sources=own, replaces=MARK)
    found = read(run)
    page = render(found, real_images(found))
    try:
        with atomic_write(out) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"could not write {out} ({error.strerror}): choose another --out") from error
    with document(as_json) as content:
        say(f"{out}, {len(page) / 1e6:.1f} MB")
        content.update({"report": out, "bytes": out.stat().st_size})
