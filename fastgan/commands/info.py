"""`fastgan info`: what a file or folder is that fastgan wrote."""

from pathlib import Path

import click

from fastgan.commands._document import json_option, show

EXAMPLES = """\b
Examples:
  fastgan info model.onnx
  fastgan info runs/0007 runs/0007/best
  fastgan info generator.safetensors photos.fgd --json
"""


@click.command(epilog=EXAMPLES)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def command(files: tuple[Path, ...], as_json: bool) -> None:
    """Say what each FILE is: a run, a checkpoint, a release, an exported .onnx or a packed .fgd.

    What was trained on what, for how long, with which settings; an exported model's inputs, outputs and precision.
    Weights are not read, so that large models are as quick as small ones.
    """
    from fastgan.api.info import info

    found = [info(file) for file in files]
    if as_json:
        show(found)
    else:
        click.echo("\n\n".join(map(str, found)))
