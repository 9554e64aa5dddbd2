"""`fastgan eval`: numbers for a generator, each with the protocol that made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

EXAMPLES = """\b
Examples:
  fastgan eval runs/0007 --data photos.fgd
  fastgan eval model.onnx --data photos.fgd --metrics fid,kid,is,prdc -n 50000
  fastgan eval samples/ --data photos.fgd --extractor inception-v3-fid
  fastgan eval runs/0008 --data photos.fgd --compare runs/0007/eval.json
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--data", "data", required=True, type=click.Path(path_type=Path), help="The real images.")
@click.option("--metrics", default="fid,kid,is,prdc", show_default=True, help="What to compute.")
@click.option(
    "--extractor",
    default="effnet-lite0",
    show_default=True,
    help="Network that makes features: a name, or an .onnx or TorchScript file.",
)
@click.option("-n", "--count", type=click.IntRange(min=2), help="Images to generate.  [default: 10000]")
@click.option("--seed", default=0, show_default=True, help="The first seed.")
@click.option("--truncation", default=1.0, show_default=True, help="As in fastgan generate.")
@click.option("--split", help="Part of DATA: train, val, test or all.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--batch", type=int, help="Images a run of the model.")
@click.option(
    "--compare", type=click.Path(path_type=Path), help="A card to compare with, of the same protocol."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The card.  [default: eval.json, in the run if it is one]",
)
def command(
    source: Path,
    data: Path,
    metrics: str,
    extractor: str,
    count: int | None,
    seed: int,
    truncation: float,
    split: str | None,
    device: str,
    batch: int | None,
    compare: Path | None,
    out: Path | None,
) -> None:
    """Score SOURCE (a run, a checkpoint, a release, an exported .onnx, or a folder of images) against real images.

    Every number carries its extractor's name and comes with a card: what two numbers must share to be compared.
    """
    from fastgan import allocator

    allocator.keep_memory()

    from fastgan.commands._samples import open_samples
    from fastgan.inference.torch_runtime import choose_device
    from fastgan.metrics import card, open_extractor
    from fastgan.metrics.evaluate import DEFAULT_N, Evaluator

    earlier = card.read(compare) if compare else None
    images, real = open_samples(source, data, split=split, device=device, batch=batch, truncation=truncation)
    n = images.count(DEFAULT_N if count is None else count, asked=count is not None)
    network = open_extractor(extractor, choose_device(device))
    with _progress() as bar:
        scorer = Evaluator(
            real, network, [name.strip() for name in metrics.split(",")], n,
            advance=bar("reference", len(real.images)),
        )  # fmt: skip
        scorer.protocol["truncation"] = truncation
        if earlier is not None and compare is not None:
            card.check_alike(scorer.protocol, earlier["protocol"], compare)
        scores = scorer(lambda start, size: images.sample(seed + start, size), advance=bar("generated", n))
    made = card.card(scores, scorer.protocol, images.about(seed, n), _versions(), scorer.warnings)
    target = out or (source if (source / "latest").is_file() else Path()) / "eval.json"
    card.write(target, made)
    _print(made, earlier, target)


@contextmanager
def _progress() -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """bar(stage, total) -> advance(n)."""
    from fastgan.commands._bars import bars

    with bars() as shown:

        def bar(stage: str, total: int) -> Callable[[int], None]:
            task = shown.add_task(stage, total=total)
            return lambda n: shown.advance(task, n)

        yield bar


def _versions() -> dict[str, str]:
    import torch

    from fastgan import __version__

    return {"fastgan": __version__, "torch": torch.__version__}


def _print(made: dict[str, Any], earlier: dict[str, Any] | None, target: Path) -> None:
    """A line a number, those of the earlier card beside them, then the protocol."""
    from fastgan.metrics import card

    scores = made["scores"]
    widest = max(map(len, scores))
    before = {} if earlier is None else earlier["scores"]
    if before:
        click.echo(f"{'':{widest}}  {'now':>10}  {'before':>10}  {'change':>10}")
    for name, value in scores.items():
        text = f"{name:{widest}}  {value:10.5g}"
        if name in before:
            text += f"  {before[name]:10.5g}  {value - before[name]:+10.3g}"
        click.echo(text)
    click.echo(card.line(made))
    for warning in made["warnings"]:
        click.echo(f"note: {warning}", err=True)
    click.echo(f"card: {target}", err=True)
