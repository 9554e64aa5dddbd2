"""`fastgan report`: a training run as one page."""

from pathlib import Path

import click


@click.command(epilog="Example: fastgan report runs/0007 -o monday.html")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="The file to write.  [default: RUN/report.html]"
)
def command(run: Path, out: Path | None) -> None:
    """Write one HTML page about RUN: curves, samples over time, warnings, settings, machine.

    Everything is inside the file: it opens without a network. RUN may still be training.
    """
    from fastgan.errors import OutputError
    from fastgan.files import atomic_write
    from fastgan.report.page import render
    from fastgan.report.read import read

    page, out = render(read(run)), out or run / "report.html"
    try:
        with atomic_write(out) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"could not write {out} ({error.strerror}): choose another --out") from error
    click.echo(f"{out}, {len(page) / 1e6:.1f} MB")
