"""`fastgan augment`: do synthetic images help this classifier? The whole experiment, and one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastgan.commands import _document as document
from fastgan.commands._document import json_option
from fastgan.commands._group import Command

EPILOG = """\b
Examples:
  fastgan augment photos/                                  all images, 5 seeds
  fastgan augment photos.fgd --per-class 20,50,100         a learning curve
  fastgan augment cells.fgd --imbalance defect=5           fill up a rare class
  fastgan augment faces.fgd --attributes smiling,glasses   attributes instead of classes
  fastgan augment photos.fgd --budget 1h --write more/     and the synthetic images, ready to train on
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the study; the same call goes on in it.  [default: DATA-augment]",
)
@click.option("--per-class", metavar="N,N", help="Training images a class: a scenario each.  [default: all]")
@click.option("--imbalance", metavar="CLASS=N", help="A scenario more, with N training images of CLASS.")
@click.option("--attributes", metavar="NAME,NAME", help="Tell attributes (0 or 1) instead of classes.")
@click.option("--leave-out", multiple=True, metavar="CLASS", help="A class not to look at.")
@click.option("--test", type=click.Path(path_type=Path), metavar="DATA", help="Test images of their own.")
@click.option(
    "--group-by",
    metavar="REGEX",
    help="Images whose names share its first group stay together, also across --test.",
)
@click.option(
    "--near",
    type=click.FloatRange(0.5, 1.0),
    help="Correlation above which images are near copies; 1: exact copies alone.  [default: 0.995]",
)
@click.option("--seeds", default=5, show_default=True, help="Paired repetitions.")
@click.option("--ratios", default="1,2,5", show_default=True, help="Synthetic images for one real image.")
@click.option(
    "--arms", metavar="NAME,NAME", help="Only arms that begin so, and their like without synthetic."
)
@click.option("--no-transfer", is_flag=True, help="Without the pretrained network.")
@click.option(
    "--measure",
    default="accuracy",
    type=click.Choice(["accuracy", "macro_f1"]),
    show_default=True,
    help="What the verdict is about.",
)
@click.option("--budget", metavar="TIME", help="Bounds the whole, GANs and all: 30m, 2h.")
@click.option("--gan-budget", metavar="LENGTH", help="Of each GAN: 3m, 200kimg.  [default: 2m, or what fits]")
@click.option("--gan-preset", default="few-shot", show_default=True, help="A preset of fastgan train.")
@click.option(
    "--gan-init-from", metavar="RUN", help="Start each GAN from a model of other images: transfer learning."
)
@click.option(
    "--gan-set", "gan_settings", multiple=True, metavar="KEY=VALUE", help="A setting, as in train.batch=16."
)
@click.option("--steps", default=300, show_default=True, help="Training steps of the small CNN.")
@click.option(
    "--tuned-steps", default=80, show_default=True, help="Training steps of the pretrained network."
)
@click.option(
    "--size",
    type=int,
    help="Side of the images in pixels, a power of two.  [default: theirs or the next, at most 64]",
)
@click.option("--channels", type=int, help="1: grey, 3: RGB, 4: RGBA.  [default: theirs]")
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    metavar="N",
    help="Skip images of more pixels.  [default: 89 million]",
)
@click.option(
    "--write", type=click.Path(path_type=Path), metavar="DIR", help="Write the recommended synthetic images."
)
@click.option("--overwrite", is_flag=True, help="Replace what an earlier call left in DIR of --write.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@json_option
@click.option("--dry-run", is_flag=True, help="Say what would be done and how long it would take.")
def command(
    data: Path,
    overwrite: bool,
    as_json: bool,
    no_transfer: bool,
    gan_settings: tuple[str, ...],
    **options: Any,
) -> None:
    """Find out whether synthetic images of DATA, with labels, make a classifier better, and by how much.

    A GAN is trained on the training images alone (or from a model of other images: --gan-init-from), classifiers with
    and without its images are compared on test images that are asked once, and the answer is one sentence, with
    intervals over paired seeds. Ctrl-C is safe: the same call goes on.
    """
    from fastgan.api.augment import augment
    from fastgan.config import overrides
    from fastgan.study import outcome, write

    target = options.pop("write")
    if target is not None:
        write.check(target, overwrite=overwrite)
    for name, kind in (("per_class", int), ("ratios", float)):
        options[name] = _numbers(name, options[name], kind)
    for name in ("attributes", "arms"):
        options[name] = _names(options[name])
    done = augment(data, **options, gan_settings=overrides(gan_settings), transfer=not no_transfer)
    with document.document(as_json) as content:
        if options["dry_run"]:
            content.update({"folder": done.folder, "plan": done.plan})
            return
        content.update({"folder": done.folder, "written": None, **done.report})
        click.echo(outcome.told(done.study, dict(done.report)))
        if target is not None:
            content["written"] = written = done.write(target, overwrite=overwrite).written
            advice = "" if done.recommended else "; the verdict does not recommend them"
            click.echo(f"  {written}   the synthetic images, with a manifest{advice}")


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


def _numbers(name: str, text: str | None, kind: type) -> tuple[Any, ...]:
    """Numbers with commas between them; ConfigError for what is none."""
    from fastgan.errors import ConfigError

    try:
        return tuple(kind(part) for part in _names(text))
    except ValueError:
        option = name.replace("_", "-")
        raise ConfigError(
            f"--{option} {text} must be numbers with commas between them, as in 20,50"
        ) from None
