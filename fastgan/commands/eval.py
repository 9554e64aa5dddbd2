"""`fastgan eval`: numbers for a generator, each with the protocol that made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgan.commands._console import say
from fastgan.commands._document import document, json_option

if TYPE_CHECKING:
    from fastgan.metrics.evaluate import Evaluator, Sample

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
    help="What to compute; also ifid, cas, ppl, lpips-diversity.",
)
@click.option(
    "--extractor",
    default="effnet-lite0",
    show_default=True,
    help="Network that makes features: a name, or an .onnx or TorchScript file.",
)
@click.option("-n", "--count", type=click.IntRange(min=2), help="Images to generate.  [default: 10000]")
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
def command(
    source: Path,
    data: Path,
    metrics: str,
    extractor: str,
    count: int | None,
    seed: int,
    truncation_psi: float,
    split: str | None,
    device: str,
    batch: int | None,
    confidence: bool,
    baselines: bool,
    audit: bool,
    holdout: Path | None,
    threshold: float | None,
    save_reference: Path | None,
    compare: Path | None,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Score SOURCE (a run, a checkpoint, a release, an exported .onnx, or a folder of images) against real images.

    Every number carries its extractor's name and comes with a card: what two numbers must share to be compared.
    """
    from fastgan import allocator

    allocator.keep_memory()

    from fastgan.device import choose
    from fastgan.evaluation import extra_scores, findings
    from fastgan.evaluation.samples import open_folder, open_model
    from fastgan.metrics import card, open_extractor, reference
    from fastgan.metrics.evaluate import DEFAULT_N, Evaluator

    names, others = extra_scores.split(metrics)
    earlier = card.read(compare) if compare else None
    model = open_model(source, device=device, batch=batch, truncation=truncation_psi)
    real, shared = findings.open_real(
        data,
        model,
        split=split,
        labels=threshold is not None,
        images=audit or baselines or threshold is not None or extra_scores.looks_at_real(others),
    )
    held_out = findings.open_held_out(holdout, real, asked=audit or "cas" in others)
    target = _target(
        out, save_reference, [source, data, *filter(None, [holdout])], overwrite=overwrite, audit=audit
    )
    network = open_extractor(extractor, choose(device))
    extra_scores.check(others, data, real, model, network)
    more: dict[str, Any] = {}
    with _progress() as bar:
        if shared is None:
            assert real is not None
            shared = reference.make_reference(real, network, names, advance=bar("reference", len(real)))
        resolution, _, channels = shared.about["image_shape"]
        images = model or open_folder(source, resolution, channels)
        n = images.count(DEFAULT_N if count is None else count, asked=count is not None)
        scorer = Evaluator(shared, network, names, n, confidence=confidence)
        scorer.protocol["truncation"] = truncation_psi
        if earlier is not None and compare is not None and not others:
            card.check_alike(scorer.protocol, earlier["protocol"], compare)
        if save_reference is not None:
            reference.write(save_reference, shared)

        def sample(start: int, size: int) -> Any:
            return images.sample(seed + start, size)

        scores, found = _scores(scorer, sample, bar("generated", n)) if names else ({}, {})
        more |= found
        if others:
            sources = extra_scores.Sources(images, real, held_out, seed, n)
            scores |= extra_scores.score(others, network, sources, bar, scorer.protocol)
            if earlier is not None and compare is not None:  # their protocol is known only now
                card.check_alike(scorer.protocol, earlier["protocol"], compare)
        if baselines and real is not None:
            more["baselines"] = findings.baselines(scorer, real, bar)
        if real is not None and (audit or threshold is not None):
            own = findings.Features(network, real, sample, n, bar)
            if audit:
                more["audit"] = findings.audit(own, held_out, target, lambda k: images.called(seed + k))
            if threshold is not None:
                more["similarity"] = findings.similarity(
                    own, threshold, images.classes(seed, len(own.images))
                )
    made = card.card(
        scores,
        scorer.protocol,
        images.about(seed, n),
        _versions(),
        [
            *scorer.warnings,
            *findings.trained_in(source, network.name),
            *findings.missing(real, held_out, getattr(images, "dataset", None)),
        ],
        **more,
    )
    card.write(target, made)
    _print(made, earlier, target, as_json=as_json)


def _target(
    out: Path | None, save_reference: Path | None, sources: list[Path], *, overwrite: bool, audit: bool
) -> Path:
    """Where the card goes; OutputError for what may not be written, before the hours that it would hold."""
    from fastgan.evaluation import findings
    from fastgan.files import check_output
    from fastgan.metrics import card

    source = sources[0]
    target = out or (source if (source / "latest").is_file() else Path()) / "eval.json"
    earlier = target.exists()
    check_output(target, overwrite=overwrite, sources=sources, replaces=card.MARK)
    if audit:
        check_output(findings.picture(target), overwrite=overwrite or earlier, sources=sources)
    if save_reference is not None:
        check_output(save_reference, overwrite=overwrite, sources=[*sources, target])
    return target


def _scores(
    scorer: Evaluator, sample: Sample, advance: Callable[[int], None]
) -> tuple[dict[str, float], dict[str, Any]]:
    """The scores, and their confidence where the scorer keeps what it needs."""
    from fastgan.evaluation import findings

    generated = scorer.summarise(sample, advance=advance)
    return scorer.score(generated), findings.confidence(scorer, generated) if scorer.confidence else {}


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

    from fastgan.version import __version__

    return {"fastgan": __version__, "torch": torch.__version__}


def _print(made: dict[str, Any], earlier: dict[str, Any] | None, target: Path, *, as_json: bool) -> None:
    """The card, as a table or as JSON."""
    with document(as_json) as content:
        content.update({"card": target, **made})
        if earlier is not None:
            content["before"] = earlier["scores"]
        _print_table(made, earlier, target)


def _print_table(made: dict[str, Any], earlier: dict[str, Any] | None, target: Path) -> None:
    """A line a number, with whatever was asked for beside it, then the protocol."""
    from fastgan.metrics import card

    scores = {**made["scores"], **made.get("infinity", {})}
    columns: dict[str, dict[str, str]] = {"value": {name: f"{value:.5g}" for name, value in scores.items()}}
    if "confidence" in made:
        columns["95 %"] = {name: f"+- {value:.2g}" for name, value in made["confidence"].items()}
    if earlier is not None:
        before = {name: value for name, value in earlier["scores"].items() if name in scores}
        columns["before"] = {name: f"{value:.5g}" for name, value in before.items()}
        columns["change"] = {name: f"{scores[name] - value:+.3g}" for name, value in before.items()}
    for name, found in made.get("baselines", {}).items():
        columns[name] = {key: f"{value:.5g}" for key, value in found.items()}
    widest = max(map(len, scores))
    if len(columns) > 1:
        click.echo(" " * widest + "".join(f"  {title:>12}" for title in columns))
    for name in scores:
        click.echo(
            f"{name:{widest}}" + "".join(f"  {column.get(name, ''):>12}" for column in columns.values())
        )
    for finding in ("audit", "similarity"):
        if finding in made:
            say(made[finding]["sentence"])
    say(card.line(made))
    for warning in made["warnings"]:
        say(f"note: {warning}", err=True)
    say(f"card: {target}", err=True)
