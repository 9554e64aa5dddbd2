"""The layers of a run's settings: preset, file, options; and what a run that goes on may be told.

Later layers win: the preset, what is chosen of what it leaves open (`choices`), the TOML file, `settings`, the options
by name.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastgan.config import DEFAULT_PRESET, build, merge, read_toml, to_mapping
from fastgan.errors import ArgumentError
from fastgan.naming import named
from fastgan.text import quoted
from fastgan.training import assemble, folder, planned
from fastgan.training.choices.layered import Layered
from fastgan.training.choices.opened import comparable
from fastgan.training.options import FREE, OPTIONS, Asked, settled
from fastgan.training.settings import RunConfig

AUTO = "auto"
"""For `resume`: start a run, go on with it, or do nothing once it is done"""
LAST = "?"
"""For `resume`: the run with the highest number under runs/"""


def new_run(asked: Asked) -> tuple[RunConfig, Layered | None]:
    """The settings of a new run before anything is chosen (`plan.make`), and the preset under what is asked for.

    None: a file that names its model is complete in itself. Raises ArgumentError without a source.
    """
    written = read_toml(asked.file) if asked.file else {}
    # A preset asked for by name always comes first.
    name = asked.options.get("preset") or (None if "name" in _table(written, "model") else DEFAULT_PRESET)
    given = merge(written, asked.tables)
    if not _table(given, "data").get("source"):
        raise ArgumentError(
            f"Missing argument {named('source')}: a folder of images, a zip of them, or a packed .fgd file."
        )
    if name is None:
        return build(RunConfig, given), None
    layered = Layered(preset=name, given=given)
    return build(RunConfig, layered.merged), layered


def _table(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table, empty where there is none; what stands in its place is for `build` to refuse."""
    found = tables.get(name)
    return found if isinstance(found, Mapping) else {}


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
    portions = planned.portions(config.train)
    if portions and config.train.planned_kimg is None:
        raise ArgumentError(
            f"{portions[0]} is a portion of the images that a run is planned for, and {run} does not say how many: "
            "give thousands of images, or train.planned_kimg too"
        )
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
    chosen = comparable(name) if name else {}
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
