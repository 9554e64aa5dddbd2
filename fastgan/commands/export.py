"""`fastgan export`: a trained model in a format that runs without fastgan."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fastgan.export import Check

EXAMPLES = """\b
Examples:
  fastgan export runs/0007 --onnx model.onnx
  fastgan export runs/0007 --onnx pixels.onnx --uint8      the graph itself gives uint8 NHWC
  fastgan export runs/0007 --onnx small.onnx --int8        8 bits: 1.7 to 3 times as fast on a CPU
  fastgan export runs/0007 --onnx half.onnx --fp16         half the size, for a GPU
  fastgan export runs/0007 --onnx parts.onnx --split       parts.mapping.onnx and parts.synthesis.onnx
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--onnx", "target", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option("--uint8", is_flag=True, help="Give pixels, uint8 [N, H, W, C], not float32 [N, C, H, W].")
@click.option("--fp16", is_flag=True, help="Compute in half precision; inputs and outputs stay float32.")
@click.option("--int8", is_flag=True, help="Convolutions in 8 bits, but those that need more.")
@click.option(
    "--min-snr",
    type=float,
    metavar="DB",
    help="Refuse a file with less signal to noise against torch.  [default: 40 for fp16, 26 for int8]",
)
@click.option("--split", is_flag=True, help="Two files that share w: the mapping network, and the synthesis.")
@click.option("--opset", type=int, default=20, show_default=True, help="ONNX operator set, 18 to 23.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
def command(
    source: Path,
    target: Path,
    uint8: bool,
    fp16: bool,
    int8: bool,
    min_snr: float | None,
    split: bool,
    opset: int,
    overwrite: bool,
) -> None:
    """Export the averaged generator of SOURCE (a run, a checkpoint or a release) to ONNX.

    The file is checked, and run by ONNX Runtime against torch, before it appears under its name. Only the input
    z must be given; truncation_psi and the noise_<k> have defaults.
    """
    from fastgan.errors import ConfigError
    from fastgan.export import export_onnx

    if fp16 and int8:
        raise ConfigError("--fp16 and --int8 are two precisions of one file: give one, or export twice.")
    click.echo(f"exporting {source} ...", err=True)

    def report(check: "Check") -> None:
        unit = " grey levels" if uint8 else ""
        limit = f" (limit {check.tolerance:.2g})" if math.isfinite(check.tolerance) else ""
        click.echo(
            f"ONNX Runtime against torch, batch {check.batch:2d}, {check.what}: max difference {check.difference:.2g}"
            f"{unit}{limit}, {_decibels(check.snr_db)}"
        )

    done = export_onnx(
        source,
        target,
        uint8=uint8,
        opset=opset,
        precision="fp16" if fp16 else "int8" if int8 else "fp32",
        split=split,
        min_snr_db=min_snr,
        overwrite=overwrite,
        report=report,
    )
    if int8:
        click.echo(
            f"{done.convolutions - len(done.kept)} of {done.convolutions} convolutions in 8 bits; in float: "
            f"{', '.join(done.kept)}"
        )
    click.echo(f"signal to noise against torch: {_decibels(done.snr_db)}")
    for path in done.paths:
        click.echo(f"{path}, {path.stat().st_size / 1e6:.1f} MB")
    click.echo(f"try it: fastgan generate {done.paths[-1]} --grid")


def _decibels(snr_db: float) -> str:
    return f"{snr_db:.1f} dB" if math.isfinite(snr_db) else "no difference"
