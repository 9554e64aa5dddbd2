"""The layers of a run's settings: preset, file, options; and what a run that goes on may be told.

Later layers win: the preset, what few-shot chooses for the images, the TOML file, `settings`, the options by name.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastgan.config import DEFAULT_PRESET, build, merge, preset, read_toml, to_mapping
from fastgan.data import survey
from fastgan.device import choose
from fastgan.errors import ArgumentError
from fastgan.naming import named
from fastgan.text import quoted
from fastgan.training import assemble, few_shot, folder
from fastgan.training.data_settings import DataConfig
from fastgan.training.options import FREE, OPTIONS, Asked, settled
from fastgan.training.settings import RunConfig

AUTO = "auto"
"""For `resume`: start a run, go on with it, or do nothing once it is done"""
LAST = "?"
"""For `resume`: the run with the highest number under runs/"""


@dataclass(frozen=True)
class Images:
    """What the preset few-shot chooses by."""

    count: int
    side: int
    """Pixels"""
    at_size: bool = False
    """Whether they have the size to train at, which then is no choice"""


def layered(
    name: str | None, given: Mapping[str, Any], images: Callable[[DataConfig], Images], device: str
) -> tuple[dict[str, Any], list[str]]:
    """The tables of a new run's settings, and what the preset few-shot has to say of its choices.

    name: of a preset; None: the `given` tables are complete in themselves. images: what there is to train on.
    """
    base = preset(name) if name else {}
    together = merge(base, given)
    if name != few_shot.PRESET:
        return together, []
    config = build(RunConfig, together)
    found = images(config.data)
    choices = few_shot.choose(
        found.count,
        found.side,
        config.train.budget,
        gpu=choose(device).type == "cuda",
        resolution=found.side if found.at_size else _table(given, "model").get("resolution"),
        model=few_shot.settled(config.train.init_from, _table(given, "model")),
        projected=config.discriminator.name == "projected",
        conditional=config.data.conditional != "none",
    )
    if found.at_size:
        choices = [choice for choice in choices if choice.key != "model.resolution"]
    chosen = merge(merge(base, few_shot.tables(choices)), given)
    return chosen, few_shot.notes(found.count, choices, given)


def new_run(asked: Asked, device: str) -> tuple[RunConfig, list[str]]:
    """The settings of a new run, and what is to be said of them. Raises ArgumentError without a source."""
    written = read_toml(asked.file) if asked.file else {}
    # A file that names its model is complete in itself; a preset asked for by name always comes first.
    name = asked.options.get("preset") or (None if "name" in _table(written, "model") else DEFAULT_PRESET)
    given = merge(written, asked.tables)
    if not _table(given, "data").get("source"):
        raise ArgumentError(
            f"Missing argument {named('source')}: a folder of images, a zip of them, or a packed .fgd file."
        )
    found, said = layered(name, given, _surveyed, device)
    return build(RunConfig, found), said


def _table(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table, empty where there is none; what stands in its place is for `build` to refuse."""
    found = tables.get(name)
    return found if isinstance(found, Mapping) else {}


def _surveyed(data: DataConfig) -> Images:
    found = survey(data.source, fit=data.fit, split=data.split, kind=data.kind, max_pixels=data.max_pixels)
    return Images(found.count, found.resolution)


def run_to_resume(resume: str | Path, asked: Asked, out: str | Path | None) -> Path:
    """The run, or checkpoint of one, that `resume` names. Raises ArgumentError for options of a new run."""
    for name in asked.options:
        if OPTIONS[name].new_run:
            raise ArgumentError(
                f"{named(name)} belongs to a new run: {named('resume')} goes on with the run's own settings"
            )
    run = Path(resume) if resume != LAST else Path(out) if out else folder.newest()
    source = asked.options.get("source")
    if source and (folder.existing(run) / "data.fgd").exists():
        raise ArgumentError(f"{run} holds its own copy of the images: leave out {named('source')} ({source})")
    return run


def resumed(run: Path, asked: Asked) -> RunConfig:
    """The settings with which `run` goes on. Raises ArgumentError for those that were settled when it began."""
    before = to_mapping(folder.read_config(run))
    config = build(RunConfig, merge(before, asked.tables))
    now, was = to_mapping(config), dict(_leaves(before))
    changed = {key: value for key, value in _leaves(now) if key in was and value != was[key]}
    for key in settled("images"):
        if key in changed:
            raise ArgumentError(f"{key} belongs to a new run: the images of {run} are chosen already")
    for key in settled("networks"):
        if key in changed:
            begin = f"begin another with {named('init_from')} {quoted(run)}"
            mend = "leave it out" if key == "train.init_from" else begin
            raise ArgumentError(
                f"{key} = {changed[key]!r} belongs to a new run, and {run} goes on as it began: {mend}"
            )
    return config


def run_to_start(out: str | Path | None) -> Path | None:
    """With AUTO: the run in `out`, or None where it is yet to be started; ArgumentError without `out`."""
    if out is None:
        raise ArgumentError(
            f"{named('resume', AUTO)} needs {named('out')}: the run to start, or to go on with"
        )
    return Path(out) if (Path(out) / "config.toml").is_file() else None


def goes_on(run: Path, asked: Asked) -> RunConfig:
    """With AUTO: the settings with which `run` goes on; ArgumentError where those asked for contradict it."""
    name = asked.options.get("preset")
    # few-shot's settings follow from the images: nothing of them can be compared
    chosen = preset(name) if name and name != few_shot.PRESET else {}
    given = merge(read_toml(asked.file) if asked.file else {}, asked.tables)
    before = folder.read_config(run)
    tables = to_mapping(before)
    differ = _contradictions(before, merge(chosen, given))
    if differ:
        key, old, value = differ[0]
        more = f" (and {len(differ) - 1} more)" if len(differ) > 1 else ""
        raise ArgumentError(
            f"{key} = {value!r}{more} contradicts the run {quoted(run)}, which has {old!r}: "
            f"leave it out, or start another run with another {named('out')}"
        )
    return build(RunConfig, merge(tables, given))


def _contradictions(before: RunConfig, asked: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Setting, the run's value and the one asked for, of settings that are not free and differ."""
    tables = to_mapping(before)
    there, here = tables["model"]["name"], _table(asked, "model").get("name", tables["model"]["name"])
    if there != here:
        return [("model.name", there, here)]
    now = to_mapping(assemble.resolve(build(RunConfig, merge(tables, asked))))
    was = dict(_leaves(to_mapping(assemble.resolve(before))))
    return [(key, was[key], value) for key, value in _leaves(now) if value != was[key] and key not in FREE]


def _leaves(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for table, values in tables.items():
        for key, value in values.items():
            yield f"{table}.{key}", value
