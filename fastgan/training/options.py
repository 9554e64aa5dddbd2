"""Every option of training by its name in Python (the command line's, with `_` for `-`), and the setting it names.

The one place to add an option: what a run that goes on takes, what the command offers and what `fastgan.train` takes
follow from this table or are tested against it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fastgan import arguments
from fastgan.config import Duration, merge, require, said
from fastgan.errors import ConfigError
from fastgan.naming import named


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option."""

    setting: str | None = None
    """table.key of the settings; None: it stands for many"""
    new_run: bool = False
    """Whether it belongs to a new run: one that goes on has its own"""
    settled: Literal["images", "networks"] | None = None
    """Whether its setting stays what it was, by whatever way it is given: the images are packed, or the networks
    were begun with it"""
    path: bool = False
    """Whether it names a file or folder, which the settings keep absolute"""


OPTIONS: Mapping[str, Option] = {
    "source": Option(setting="data.source", path=True),
    "preset": Option(new_run=True),
    "config": Option(new_run=True),
    "budget": Option(setting="train.budget"),
    "seed": Option(setting="train.seed", new_run=True),
    "resolution": Option(setting="model.resolution", new_run=True),
    "augment": Option(setting="train.augment"),
    "discriminator": Option(setting="discriminator.name", new_run=True),
    "spectral_norm": Option(setting="loss.spectral_norm", new_run=True),
    "conditional": Option(setting="data.conditional", new_run=True),
    "init_from": Option(setting="train.init_from", new_run=True, settled="networks", path=True),
    "freeze_d": Option(setting="train.freeze_d", new_run=True, settled="networks"),
    "tune_g": Option(setting="train.tune_g", new_run=True, settled="networks"),
    "thaw_kimg": Option(setting="train.thaw_kimg", new_run=True, settled="networks"),
    "accumulate": Option(setting="train.accumulate"),
    "eval_every": Option(setting="train.eval_every"),
    "stop_when": Option(setting="train.stop_when"),
    "fit": Option(setting="data.fit", new_run=True, settled="images"),
    "split": Option(setting="data.split", new_run=True, settled="images"),
    "kind": Option(setting="data.kind", new_run=True, settled="images"),
    "max_bad": Option(setting="data.max_bad", new_run=True),
    "max_pixels": Option(setting="data.max_pixels", new_run=True),
}

FREE = (
    *("train.budget", "train.stop_when", "train.max_rollbacks", "train.keep_checkpoints"),
    *("train.checkpoint_every", "train.grid_every", "train.log_every"),
    *("train.eval_every", "train.eval_metrics", "train.eval_images", "train.best_metric"),
)
"""Settings that a run may go on with as they are given now: how long, and with what record."""


def settled(kind: str) -> list[str]:
    """The settings of what is settled when a run begins: "images" or "networks"."""
    return [option.setting for option in OPTIONS.values() if option.settled == kind and option.setting]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a call of training asks for."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """By the names of OPTIONS; None and False are not given"""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Tables of settings, over which `options` win"""

    def __post_init__(self) -> None:
        given = {
            name: value for name, value in self.options.items() if value is not None and value is not False
        }
        object.__setattr__(self, "options", given)

    @property
    def tables(self) -> dict[str, Any]:
        """All settings that are named here, as tables."""
        found = dict(self.settings)
        for name, value in self.options.items():
            option = OPTIONS[name]
            if option.setting is None or (option.path and value == ""):
                continue
            kept = str(arguments.path(value, name).absolute()) if option.path else value
            found = merge(found, tables({option.setting: kept}))
        return found

    @property
    def file(self) -> Path | None:
        """The TOML file of settings."""
        name = self.options.get("config")
        return arguments.path(name, "config") if name else None


def tables(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Tables from dotted keys, tables, or both: {"train.batch": 16, "model": {"width": 8}}.

    Raises ConfigError for what is no mapping of names.
    """
    require(isinstance(settings, Mapping), f"{named('settings')} = {said(settings)} must map names to values")
    found: dict[str, Any] = {}
    for key, value in settings.items():
        names = key.split(".") if isinstance(key, str) else []
        if not names or not all(names) or len(names) > 8:
            raise ConfigError(f"{named('settings')}: {said(key)} is no name of a setting, as train.batch is")
        tree = tables(value) if isinstance(value, Mapping) else _plain(value)
        for name in reversed(names[1:]):
            tree = {name: tree}
        found = merge(found, {names[0]: tree})
    return found


def _plain(value: Any) -> Any:
    """`value` as a settings file could say it: paths and lengths are text, numbers Python's own."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # numpy's and torch's numbers
        return value.item()
    return value
