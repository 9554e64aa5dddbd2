"""`fastgan export`: a trained model in a format that runs without fastgan."""

from pathlib import Path
from typing import Any

import click

from fastgan.callbacks import Callback
from fastgan.commands._console import say
from fastgan.commands._document import document, json_option
from fastgan.text import quoted

EXAMPLES = """\b
Examples:
  fastgan export runs/0007 --onnx model.onnx
  fastgan export runs/0007 --onnx pixels.onnx --uint8      the graph itself gives uint8 NHWC
  fastgan export runs/0007 --onnx small.onnx --int8        8 bits: 1.7 to 3 times as fast on a CPU
  fastgan export runs/0007 --onnx half.onnx --fp16         half the size, for a GPU
  fastgan export runs/0007 --onnx parts.onnx --split       parts.mapping.onnx and parts.synthesis.onnx
  fastgan export runs/0007 --onnx small.onnx --int8 --check-fid --data photos.fgd
  fastgan export runs/0007 --triton models/                a model repository for Triton Inference Server
  fastgan export model.onnx --triton models/               the same, of a file that was exported before
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--onnx", "target", type=click.Path(path_type=Path), help="The file to write.")
@click.option("--uint8", is_flag=True, help="Give pixels, uint8 [N, H, W, C], not float32 [N, C, H, W].")
@click.option("--fp16", is_flag=True, help="Compute in half precision; inputs and outputs stay float32.")
@click.option("--int8", is_flag=True, help="Convolutions in 8 bits, but those that need more.")
@click.option(
    "--min-snr",
    "min_snr_db",
    type=float,
    metavar="DB",
    help="Refuse a file with less signal to noise against torch.  [default: 40 for fp16, 26 for int8]",
)
@click.option("--split", is_flag=True, help="Two files that share w: the mapping network, and the synthesis.")
@click.option("--opset", type=int, default=20, show_default=True, help="ONNX operator set, 18 to 23.")
@click.option(
    "--triton",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the model, batched and giving pixels, into this model repository of Triton Inference Server.",
)
@click.option("--check-fid", is_flag=True, help="Refuse a file that scores worse than the model in torch.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="For --check-fid: the real images, or their statistics; else the model's own images of other seeds.",
)
@click.option(
    "-n",
    "--count",
    "n",
    type=click.IntRange(min=50),
    help="For --check-fid: images to score.  [default: 2000]",
)
@click.option(
    "--fid-limit",
    type=click.FloatRange(min=0),
    metavar="PERCENT",
    help="For --check-fid: by how much of it the file's FID may be above torch's.  [default: 25]",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@json_option
def command(source: Path, as_json: bool, **options: Any) -> None:
    """Export the averaged generator of SOURCE (a run, a checkpoint or a release) to ONNX.

    The file is checked, and run by ONNX Runtime against torch, before it appears under its name. Only the input
    z must be given; truncation_psi and the noise_<k> have defaults. With --triton also, or alone, as a model that is
    named like the file, else like SOURCE, which may then be an exported .onnx too.
    """
    from fastgan.api.export import export

    with document(as_json) as content:
        done = export(source, callback=_Said(), **options)
        content.update(done.facts())
        click.echo(done)
        if done.paths:
            say(f"try it: fastgan generate {quoted(done.paths[-1])} --grid")


class _Said(Callback):
    """Says what begins, and each comparison as it is made."""

    def event(self, step: int, kind: str, text: str) -> None:
        say(text, err=kind == "export")
