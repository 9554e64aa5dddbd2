"""`fastgan export`: a trained model in a format that runs without fastgan."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fastgan.export import Check

EXAMPLES = """\b
Examples:
  fastgan export runs/0007 --onnx model.onnx
  fastgan export runs/0007 --onnx pixels.onnx --uint8      the graph itself gives uint8 NHWC
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--onnx", "target", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option("--uint8", is_flag=True, help="Give pixels, uint8 [N, H, W, C], not float32 [N, C, H, W].")
@click.option("--opset", type=int, default=20, show_default=True, help="ONNX operator set, 18 to 23.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
def command(source: Path, target: Path, uint8: bool, opset: int, overwrite: bool) -> None:
    """Export the averaged generator of SOURCE (a run, a checkpoint or a release) to ONNX.

    The file is checked, and run by ONNX Runtime against torch, before it appears under its name. Only the input
    z must be given; truncation_psi and the noise_<k> have defaults.
    """
    from fastgan.export import export_onnx

    click.echo(f"exporting {source} ...", err=True)

    def report(check: "Check") -> None:
        unit = " grey levels" if uint8 else ""
        click.echo(
            f"ONNX Runtime against torch, batch {check.batch:2d}, {check.what}: max difference {check.difference:.2g}"
            f"{unit} (limit {check.tolerance:.2g})"
        )

    export_onnx(source, target, uint8=uint8, opset=opset, overwrite=overwrite, report=report)
    size = target.stat().st_size / 1e6
    click.echo(f"{target}, {size:.1f} MB; try it: fastgan generate {target} --grid")
