"""Architectures, one file each: its Config, its Generator, its Discriminator. Adding one is adding a file here.

What such a file must have is the protocol `Architecture`.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, cast

from torch import nn

from fastgan.config import build, require, said, to_mapping
from fastgan.errors import ConfigError
from fastgan.models._architecture import (
    Architecture,
    Discriminator,
    Generator,
    GrowingDiscriminator,
    GrowingGenerator,
    Styled,
)
from fastgan.models._config import ModelConfig

__all__ = [
    "Architecture",
    "Discriminator",
    "Generator",
    "GrowingDiscriminator",
    "GrowingGenerator",
    "ModelConfig",
    "Styled",
    "configure",
    "discriminator",
    "generator",
    "load",
    "names",
    "table",
]


def names() -> list[str]:
    """The models that this folder holds, sorted."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))


def load(name: str) -> Architecture[ModelConfig]:
    """The module of model `name`, with its `Config`, `Generator` and `Discriminator`.

    Raises ConfigError, with the names there are, if there is none of that name.
    """
    if name not in names():
        raise ConfigError(f"[model] name = {name!r} is unknown: choose one of {', '.join(names())}.")
    return cast("Architecture[ModelConfig]", importlib.import_module(f"{__name__}.{name}"))


def configure(table: Mapping[str, Any], where: str = "model") -> ModelConfig:
    """The Config of the model that `table` names, with its other settings, checked, and defaults for the rest.

    Raises ConfigError, which calls a setting `where`.key.
    """
    require(isinstance(table, Mapping), f"{where} = {said(table)} must be a table")
    name = table.get("name")
    require(
        isinstance(name, str) and bool(name),
        f'{where}.name must name a model, as in [{where}] name = "dcgan"',
    )
    options = {key: value for key, value in table.items() if key != "name"}
    return build(load(str(name)).Config, options, where)


def table(config: ModelConfig) -> dict[str, Any]:
    """The inverse of `configure`: `name` and the settings, without what is left to the data."""
    return {
        "name": config.name,
        **{key: value for key, value in to_mapping(config).items() if key not in config.undecided},
    }


def generator(config: ModelConfig) -> nn.Module:
    """A `Generator` of this kind, freshly initialised from torch's default random numbers."""
    return cast("nn.Module", load(config.name).Generator(config.decided()))


def discriminator(config: ModelConfig) -> nn.Module:
    """A `Discriminator` of this kind, freshly initialised from torch's default random numbers."""
    return cast("nn.Module", load(config.name).Discriminator(config.decided()))
