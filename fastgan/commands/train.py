"""`fastgan train`: from a folder of images to a trained generator, and on from where it stopped."""

from typing import TYPE_CHECKING, Any

import click

from fastgan.commands._console import say
from fastgan.commands._document import document, json_option
from fastgan.commands._group import Command
from fastgan.config import DEFAULT_PRESET, preset_names
from fastgan.text import quoted, shown

if TYPE_CHECKING:
    from fastgan.api.train import Ended
    from fastgan.training.outcome import Outcome
    from fastgan.training.session import Session
    from fastgan.training.settings import RunConfig

LAST = "?"
"""--resume without a run: as in training/layers.py, which is not read for --help"""


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  fastgan train ./photos --preset stylegan --budget 30m
  fastgan train photos.fgd --set train.batch=32 --set train.checkpoint_every=250img
  fastgan train --resume runs/0007 --budget 2h
  fastgan train photos.fgd --out nightly --resume auto --budget 8h
  torchrun --nproc-per-node=2 -m fastgan train photos.fgd
""",
)
@click.argument("source", required=False)
@click.option("--preset", metavar="NAME", help=f"{', '.join(preset_names())}.  [default: {DEFAULT_PRESET}]")
@click.option("--config", metavar="FILE", help="Settings in TOML, over the preset's.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting, as in train.batch=32."
)
@click.option("-o", "--out", metavar="RUN", help="Run folder.  [default: the next free number under runs/]")
@click.option("--budget", metavar="LENGTH", help="When to end: 90s, 10m, 2h, 50kimg.")
@click.option(
    "--resume",
    metavar="[RUN]",
    is_flag=False,
    flag_value=LAST,
    help="Go on exactly with this run (without RUN: the last under runs/), or from one of its checkpoints. auto, for "
    "scripts: start the run --out, or go on with it where it is.",
)
@click.option(
    "--device", default="auto", metavar="NAME", help="cpu, cuda, or auto (cuda where there is one)."
)
@click.option("--seed", type=int, metavar="N", help="Everything random follows from it.")
@click.option("--resolution", type=int, metavar="SIZE", help="Side of the images in pixels: 8, 16, ... 4096.")
@click.option(
    "--augment",
    metavar="POLICY",
    help='What the discriminator sees: "ada", "color,translation,cutout", "none".',
)
@click.option(
    "--discriminator",
    type=click.Choice(["own", "projected"]),
    help="The model's own, or one on pretrained features .  [default: own]",
)
@click.option("--spectral-norm", is_flag=True, help="Normalise the discriminator's weights by spectral norm.")
@click.option(
    "--conditional",
    is_flag=False,
    flag_value="auto",
    type=click.Choice(["auto", "labels", "attributes", "both", "none"]),
    metavar="[labels|attributes|both]",
    help="Learn to make images by class or attributes.  [without a value: all that the data has]",
)
@click.option(
    "--init-from", metavar="RUN", help="Start from the networks of a run, a checkpoint or a release."
)
@click.option(
    "--freeze-d", type=int, metavar="N", help="Keep the discriminator's first N blocks as they are."
)
@click.option(
    "--tune-g", metavar="PARTS", help='Train no more of the generator than "mapping", "styles", "norms".'
)
@click.option("--thaw-kimg", type=float, metavar="K", help="Thaw what is frozen, a block every K kimg.")
@click.option(
    "--accumulate", type=int, metavar="K", help="Go through each batch in K parts: less memory, same result."
)
@json_option
@click.option("--eval-every", metavar="LENGTH", help="Compute metrics this often, and keep RUN/best: 50kimg.")
@click.option("--stop-when", metavar="CONDITION", help='Stop early: "fid<20", "r_t>0.95", "loss_d<0.01".')
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad"]),
    help="What is not square: crop it centrally, or pad it.  [default: crop]",
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test", "extra", "all"]),
    help="Which official part of the set.  [default: train where it has parts]",
)
@click.option(
    "--kind", metavar="NAME", help="How to read SOURCE where several ways would do: cifar, folder ..."
)
@click.option("--max-bad", metavar="SHARE", help='Unreadable images to put up with: "1%", or a count.')
@click.option(
    "--max-pixels", type=int, metavar="N", help="Skip images of more pixels.  [default: 89 million]"
)
@click.option("--dry-run", is_flag=True, help="Print what the run would use, as TOML, and do nothing.")
@click.pass_context
def command(
    ctx: click.Context,
    settings: tuple[str, ...],
    out: str | None,
    resume: str | None,
    device: str,
    as_json: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Train a GAN on SOURCE: a folder or zip of images, a data set as it was downloaded, or a packed .fgd file.

    Settings come from the preset, then --config, then the options here. Ctrl-C saves, and --resume goes on.
    """
    from fastgan.api.train import Start, carry_out, planned
    from fastgan.commands._again import command_with
    from fastgan.config import overrides
    from fastgan.training.options import Asked

    asked = Asked(options=options, settings=overrides(settings))
    start = Start(asked=asked, resume=resume, out=out, device=device)

    def again(option: str) -> str:
        return command_with(ctx, option)

    if dry_run:
        plan = planned(start, again=again)
        if plan is not None:
            _show_plan(*plan, as_json)
        return
    ended = carry_out(start, again=again)
    if ended.rank == 0:
        _show_end(ended, as_json)
    ctx.exit(0 if ended.outcome is None else ended.outcome.exit_code)


def _show_plan(config: "RunConfig", said: list[str], as_json: bool) -> None:
    from fastgan.config import to_mapping, to_toml

    tables = to_mapping(config)
    with document(as_json) as content:
        click.echo("".join(f"# {shown(line)}\n" for line in said) + to_toml(tables), nl=False)
        content.update({"notes": said, "settings": tables})


def _show_end(ended: "Ended", as_json: bool) -> None:
    from fastgan.api.run import facts
    from fastgan.data import passed_over

    session, outcome = ended.session, ended.outcome
    with document(as_json) as content:
        if session is None or outcome is None:
            click.echo(f"nothing to do: {ended.done}")
            content.update({"run": ended.run, "done": ended.done})
            return
        for text in passed_over.warnings(session.dataset.notes):
            say(f"attention: {text}")
        click.echo(_ending(session, outcome))
        content.update(facts(session.run, signal=outcome.signum, device=str(session.device)))


def _ending(session: "Session", outcome: "Outcome") -> str:
    from fastgan import ownership
    from fastgan.text import clock
    from fastgan.training import outlook

    run, at = session.run, f"{outcome.cur_nimg / 1000:g} kimg in {clock(outcome.seconds)}"
    if outcome.signum is not None:
        return f"stopped at {at}; saved {session.saved}\n  fastgan train --resume {quoted(run)}   goes on exactly"
    grids = ownership.grids(run)
    why = f", when {outcome.stopped} was met" if outcome.stopped else ""
    best = session.best
    if best is not None:
        why += (
            f"; best {best['metric']} {best['value']:.4g} at {best['cur_nimg'] / 1000:g} kimg: {run / 'best'}"
        )
    train = session.config.train
    longer = outlook.longer(
        train.budget, train.usual_kimg, cur_nimg=outcome.cur_nimg, seconds=outcome.seconds
    )
    short = outlook.fell_short(train.usual_kimg, outcome.cur_nimg)
    if short is not None:
        why += f"\n  {short} after which pictures can be told: train on as below"
    return f"""trained {at}{why}
  {grids[-1]}   samples
  {run / "generator.safetensors"}   the generator alone, to share
next
  fastgan generate {quoted(run)} -n 100 --out images/
  fastgan export {quoted(run)} --onnx {quoted(run / "model.onnx")}
  fastgan report {quoted(run)}
  fastgan train --resume {quoted(run)} --budget {longer}"""
