"""`fastgan train`: from a folder of images to a trained generator, and on from where it stopped."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastgan import allocator
from fastgan.commands._console import say
from fastgan.commands._document import document, json_option
from fastgan.config import preset_names
from fastgan.device import choose
from fastgan.text import quoted

if TYPE_CHECKING:
    import torch

    from fastgan.data import Dataset
    from fastgan.training.evaluation import Evaluate
    from fastgan.training.session import Outcome, Session
    from fastgan.training.settings import RunConfig, TrainConfig

DEFAULT_PRESET = "small"
_LAST = "?"  # --resume without a run


@click.command(
    epilog="""\b
Examples:
  fastgan train ./photos --preset stylegan --budget 30m
  fastgan train photos.fgd --set train.batch=32 --set train.checkpoint_every=250img
  fastgan train --resume runs/0007 --budget 2h
  fastgan train photos.fgd --out nightly --resume auto --budget 8h
  torchrun --nproc-per-node=2 -m fastgan train photos.fgd
"""
)
@click.argument("source", required=False)
@click.option("--preset", metavar="NAME", help=f"{', '.join(preset_names())}.  [default: {DEFAULT_PRESET}]")
@click.option("--config", "config_file", metavar="FILE", help="Settings in TOML, over the preset's.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One setting, as in train.batch=32.")
@click.option("-o", "--out", metavar="RUN", help="Run folder.  [default: the next free number under runs/]")
@click.option("--budget", metavar="LENGTH", help="When to end: 90s, 10m, 2h, 50kimg.")
@click.option(
    "--resume",
    metavar="[RUN]",
    is_flag=False,
    flag_value=_LAST,
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
def command(ctx: click.Context, resume: str | None, dry_run: bool, device: str, **options: Any) -> None:
    """Train a GAN on SOURCE: a folder or zip of images, a data set as it was downloaded, or a packed .fgd file.

    Settings come from the preset, then --config, then the options here. Ctrl-C saves, and --resume goes on.
    """
    allocator.keep_memory()

    from fastgan.commands import _auto, _trained
    from fastgan.commands._again import command_with
    from fastgan.commands._progress import display
    from fastgan.config import to_mapping, to_toml
    from fastgan.data import passed_over
    from fastgan.text import shown
    from fastgan.training import distributed, folder, plan
    from fastgan.training import run as training

    with distributed.joined() as processes:

        def settings() -> "tuple[Path | None, RunConfig, list[str]]":
            if resume == _auto.AUTO:
                run = _auto.run_of(options["out"])
                if run is not None:
                    return run, _auto.goes_on(run, *_asked(options)), []
                return run, *_new_config(options, device)
            run = None if resume is None else _run_to_resume(resume, options)
            if run is None:
                return run, *_new_config(options, device)
            return run, _resumed_config(folder.existing(run), options), []

        def again(option: str) -> str:
            return command_with(ctx, option)

        def planned() -> "tuple[RunConfig, list[str]]":
            where = choose(device, processes)
            if run is not None:
                return training.planned(run, config), []
            ready = plan.make(config, where, processes=processes, again=again)
            return ready.config, ready.facts()

        run, config, chosen = processes.first(settings)
        if dry_run:
            config, facts = processes.first(planned)
            if processes.rank == 0:
                said, tables = [*chosen, *facts], to_mapping(config)
                with document(options["as_json"]) as content:
                    click.echo("".join(f"# {shown(line)}\n" for line in said) + to_toml(tables), nl=False)
                    content.update({"notes": said, "settings": tables})
            return
        done = processes.first(
            lambda: training.finished(run, config) if resume == _auto.AUTO and run is not None else None
        )
        if done is not None:
            if processes.rank == 0:
                with document(options["as_json"]) as content:
                    click.echo(f"nothing to do: {done}")
                    content.update({"run": run, "done": done})
            return
        with display(silent=processes.rank > 0) as show:
            for line in chosen:
                show.note(line)
            shared: dict[str, Any] = {"device": device, "note": show.note, "progress": show.data}
            shared |= {"processes": processes, "evaluator": _evaluator, "again": again}
            with (
                training.new(config, out=options["out"], **shared)
                if run is None
                else training.resumed(run, config, **shared)
            ) as session:
                for text in passed_over.warnings(session.dataset.notes):
                    show.note(text)
                show.note(_beginning(session))
                outcome = session.fit(show.report)
        if processes.rank == 0:
            with document(options["as_json"]) as content:
                for text in passed_over.warnings(session.dataset.notes):
                    say(f"attention: {text}")
                click.echo(_ending(session, outcome))
                content.update(_trained.facts(session, outcome))
    ctx.exit(outcome.exit_code)


def _overrides(options: dict[str, Any]) -> dict[str, Any]:
    """The tables that the command line sets; its own options win over --set."""
    from fastgan.config import merge, overrides

    named = {
        "data.source": str(Path(options["source"]).absolute()) if options["source"] else None,
        "data.conditional": options["conditional"],
        "data.fit": options["fit"],
        "data.kind": options["kind"],
        "data.max_bad": options["max_bad"],
        "data.max_pixels": options["max_pixels"],
        "data.split": options["split"],
        "model.resolution": options["resolution"],
        "discriminator.name": options["discriminator"],
        "loss.spectral_norm": options["spectral_norm"] or None,
        "train.accumulate": options["accumulate"],
        "train.augment": options["augment"],
        "train.budget": options["budget"],
        "train.eval_every": options["eval_every"],
        "train.freeze_d": options["freeze_d"],
        "train.init_from": str(Path(options["init_from"]).absolute()) if options["init_from"] else None,
        "train.seed": options["seed"],
        "train.thaw_kimg": options["thaw_kimg"],
        "train.tune_g": options["tune_g"],
        "train.stop_when": options["stop_when"],
    }
    tables = overrides(options["sets"])
    for key, value in named.items():
        if value is not None:
            table, _, name = key.partition(".")
            tables = merge(tables, {table: {name: value}})
    return tables


def _asked(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tables of the preset that is asked for (few-shot's, which follow from the images, left out), and the rest."""
    from fastgan.config import merge, preset, read_toml
    from fastgan.training import few_shot

    name = options["preset"]
    written = read_toml(options["config_file"]) if options["config_file"] else {}
    return preset(name) if name and name != few_shot.PRESET else {}, merge(written, _overrides(options))


def _new_config(options: dict[str, Any], device: str) -> "tuple[RunConfig, list[str]]":
    """The settings, and what the preset few-shot has to say of its choices."""
    from fastgan.config import build, merge, preset, read_toml
    from fastgan.training import few_shot
    from fastgan.training.settings import RunConfig

    written = read_toml(options["config_file"]) if options["config_file"] else {}
    # A file that names its model is complete in itself; a preset asked for by name always comes first.
    name = options["preset"] or (None if "name" in written.get("model", {}) else DEFAULT_PRESET)
    base, given = preset(name) if name else {}, merge(written, _overrides(options))
    config = build(RunConfig, merge(base, given))
    if not config.data.source:
        raise click.UsageError(
            "Missing argument 'SOURCE': a folder of images, a zip of them, or a packed .fgd file."
        )
    if name != few_shot.PRESET:
        return config, []
    chosen, said = _few_shot(config, given, device)
    return build(RunConfig, merge(merge(base, chosen), given)), said


def _few_shot(config: "RunConfig", given: dict[str, Any], device: str) -> tuple[dict[str, Any], list[str]]:
    """The tables that the preset chooses for these images and this budget, and why."""
    from fastgan.data import survey
    from fastgan.training import few_shot

    data = config.data
    found = survey(data.source, fit=data.fit, split=data.split, kind=data.kind, max_pixels=data.max_pixels)
    choices = few_shot.choose(
        found.count,
        found.resolution,
        config.train.budget,
        gpu=choose(device).type == "cuda",
        resolution=given.get("model", {}).get("resolution"),
        model=few_shot.settled(config.train.init_from, given.get("model", {})),
        projected=config.discriminator.name == "projected",
        conditional=config.data.conditional != "none",
    )
    return few_shot.tables(choices), few_shot.notes(found.count, choices, given)


def _run_to_resume(resume: str, options: dict[str, Any]) -> Path:
    from fastgan.training import folder

    new_only = (
        "preset",
        "config_file",
        "seed",
        "resolution",
        "discriminator",
        "spectral_norm",
        "conditional",
        "init_from",
        "freeze_d",
        "tune_g",
        "thaw_kimg",
        "fit",
        "split",
        "kind",
        "max_bad",
        "max_pixels",
    )
    for name in new_only:
        if options[name] is not None and options[name] is not False:
            option = name.removesuffix("_file").replace("_", "-")
            raise click.UsageError(
                f"--{option} belongs to a new run: --resume goes on with the run's own settings"
            )
    run = Path(resume) if resume != _LAST else Path(options["out"]) if options["out"] else folder.newest()
    if options["source"] and (folder.existing(run) / "data.fgd").exists():
        raise click.UsageError(
            f"{run} holds its own copy of the images: leave out SOURCE ({options['source']})"
        )
    return run


def _resumed_config(run: Path, options: dict[str, Any]) -> "RunConfig":
    from fastgan.config import build, merge, to_mapping
    from fastgan.training import folder
    from fastgan.training.settings import RunConfig

    before = folder.read_config(run)
    config = build(RunConfig, merge(to_mapping(before), _overrides(options)))
    for key in ("fit", "split", "kind"):
        if getattr(config.data, key) != getattr(before.data, key):
            raise click.UsageError(f"data.{key} belongs to a new run: the images of {run} are chosen already")
    for key in ("init_from", "freeze_d", "tune_g", "thaw_kimg"):
        if getattr(config.train, key) != getattr(before.train, key):
            mend = "leave it out" if key == "init_from" else f"begin another with --init-from {quoted(run)}"
            raise click.UsageError(
                f"train.{key} = {getattr(config.train, key)!r} belongs to a new run, and {run} goes on as it began: "
                f"{mend}"
            )
    return config


def _evaluator(dataset: "Dataset", train: "TrainConfig", device: "torch.device") -> "Evaluate":
    from fastgan.metrics import evaluator

    names = [name.strip() for name in train.eval_metrics.split(",")]
    return evaluator(dataset, metrics=names, n=train.eval_images, device=device)


def _beginning(session: "Session") -> str:
    config, data, trainer = session.config, session.dataset, session.trainer
    several = f" x {trainer.processes.size}" if trainer.processes.size > 1 else ""
    start = f" from {trainer.cur_nimg / 1000:g} kimg" if trainer.cur_nimg else ""
    return (
        f"{config.model.name} on {len(data)} images of {data.resolution}x{data.resolution}x{data.channels}, "
        f"{session.device.type}{several} {trainer.precision}, budget {config.train.budget}{start}, in {session.run}"
    )


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
    short = outlook.fell_short(session.config.train.usual_kimg, outcome.cur_nimg)
    if short is not None:
        why += f"\n  {short} after which pictures can be told: train on as below"
    return f"""trained {at}{why}
  {grids[-1]}   samples
  {run / "generator.safetensors"}   the generator alone, to share
next
  fastgan generate {quoted(run)} -n 100 --out images/
  fastgan export {quoted(run)} --onnx {quoted(run / "model.onnx")}
  fastgan report {quoted(run)}
  fastgan train --resume {quoted(run)} --budget {_longer(session, outcome)}"""


def _longer(session: "Session", outcome: "Outcome") -> str:
    """A budget, in its own unit, to go on with: what pictures usually need, or twice what there was or was used."""
    from dataclasses import replace

    from fastgan.training import outlook

    budget, usual = session.config.train.budget, session.config.train.usual_kimg
    if usual is not None and outlook.fell_short(usual, session.trainer.cur_nimg):
        return str(outlook.enough(usual))
    if budget.images is not None:
        return str(replace(budget, images=2 * budget.images))
    used = float(round(outcome.seconds))  # more than the budget, where a step takes long
    return str(replace(budget, seconds=2 * max(budget.seconds or 0, used)))
