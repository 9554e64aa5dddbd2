"""`fastgan eval`: numbers for a generator, each with the protocol that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastgan.commands._console import say
from fastgan.commands._document import document, json_option

EXAMPLES = """\b
Examples:
  fastgan eval runs/0007 --data photos.fgd
  fastgan eval model.onnx --data photos.fgd --metrics fid,kid,is,prdc -n 50000
  fastgan eval samples/ --data photos.fgd --extractor inception-v3-fid
  fastgan eval runs/0008 --data photos.fgd --compare runs/0007/eval.json
  fastgan eval runs/0009 --data digits.fgd --metrics fid,ifid,cas,ppl,lpips-diversity
  fastgan eval runs/0008 --data photos.fgd --audit --holdout test.fgd --baselines
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--data",
    "data",
    required=True,
    type=click.Path(path_type=Path),
    help="The real images, or their statistics.",
)
@click.option(
    "--metrics",
    default="fid,kid,is,prdc",
    show_default=True,
    help="What to compute; also periodic, ifid, cas, ppl, lpips-diversity.",
)
@click.option(
    "--extractor",
    default="effnet-lite0",
    show_default=True,
    help="Network that makes features: a name, or an .onnx or TorchScript file.",
)
@click.option("-n", "--count", "n", type=click.IntRange(min=2), help="Images to generate.  [default: 10000]")
@click.option("--seed", default=0, show_default=True, help="The first seed.")
@click.option(
    "--truncation", "truncation_psi", default=1.0, show_default=True, help="As in fastgan generate."
)
@click.option("--split", help="Part of DATA: train, val, test or all.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--batch", type=int, help="Images a run of the model.")
@click.option("--confidence", is_flag=True, help="95 % intervals for other seeds, and FID at endless n.")
@click.option("--baselines", is_flag=True, help="Score what people did before GANs as well.")
@click.option(
    "--audit", is_flag=True, help="Look for copies of DATA; draws the closest pairs beside the card."
)
@click.option(
    "--holdout", type=click.Path(path_type=Path), help="For --audit and cas: real images not trained on."
)
@click.option(
    "--threshold", type=float, help="Give each image the class it is this similar to (cosine), or none."
)
@click.option(
    "--save-reference",
    type=click.Path(path_type=Path),
    help="Write the real images' statistics, to be given as --data elsewhere (.safetensors).",
)
@click.option(
    "--compare", type=click.Path(path_type=Path), help="A card to compare with, of the same protocol."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The card.  [default: eval.json, in the run if it is one]",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there, where it is no earlier card.")
@json_option
def command(source: Path, out: Path | None, as_json: bool, **options: Any) -> None:
    """Score SOURCE (a run, a checkpoint, a release, an exported .onnx, or a folder of images) against real images.

    Every number carries its extractor's name and comes with a card: what two numbers must share to be compared.
    """
    from fastgan.api.evaluate import evaluate

    out = out or (source if (source / "latest").is_file() else Path()) / "eval.json"
    card = evaluate(source, out=out, **options)
    with document(as_json) as content:
        content.update({"card": card.path, **card.content})
        if card.before is not None:
            content["before"] = card.before
        click.echo(card)
    for warning in card.warnings:
        say(f"note: {warning}", err=True)
    say(f"card: {card.path}", err=True)
