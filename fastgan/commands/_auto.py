"""`--resume auto`: the same command starts a run, goes on with it, and does nothing once it is done."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fastgan.training.settings import RunConfig

AUTO = "auto"
_FREE = (
    *("train.budget", "train.stop_when", "train.max_rollbacks", "train.keep_checkpoints"),
    *("train.checkpoint_every", "train.grid_every", "train.log_every"),
    *("train.eval_every", "train.eval_metrics", "train.eval_images", "train.best_metric"),
)
"""Settings that a run may go on with as they are given now: how long, and with what record."""


def run_of(out: str | None) -> Path | None:
    """The run in `out`, or None where it is yet to be started; UsageError without --out."""
    if out is None:
        raise click.UsageError("--resume auto needs --out RUN: the run to start, or to go on with")
    return Path(out) if (Path(out) / "config.toml").is_file() else None


def goes_on(run: Path, chosen: Mapping[str, Any], given: Mapping[str, Any]) -> "RunConfig":
    """The settings with which `run` goes on; UsageError where those of this command contradict it.

    chosen: the tables of the preset that was asked for. given: those of the command's other options.
    """
    from fastgan.config import build, merge, to_mapping
    from fastgan.text import quoted
    from fastgan.training import assemble, folder
    from fastgan.training.settings import RunConfig

    before = folder.read_config(run)
    tables, asked = to_mapping(before), merge(chosen, given)
    there, here = tables["model"]["name"], asked.get("model", {}).get("name", tables["model"]["name"])
    differ = [("model.name", there, here)] if there != here else []
    if not differ:
        now = to_mapping(assemble.resolve(build(RunConfig, merge(tables, asked))))
        was = to_mapping(assemble.resolve(before))
        differ = [
            (key, old, value)
            for (key, value), old in zip(_leaves(now), dict(_leaves(was)).values(), strict=True)
            if value != old and key not in _FREE
        ]
    if differ:
        key, old, value = differ[0]
        more = f" (and {len(differ) - 1} more)" if len(differ) > 1 else ""
        raise click.UsageError(
            f"{key} = {value!r}{more} contradicts the run {quoted(run)}, which has {old!r}: "
            "leave it out, or start another run with another --out"
        )
    return build(RunConfig, merge(tables, given))


def _leaves(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for table, values in tables.items():
        for key, value in values.items():
            yield f"{table}.{key}", value
