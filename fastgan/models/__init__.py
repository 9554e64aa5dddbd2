"""Architectures, one file each: its Config, its Generator, its Discriminator. Adding one is adding a file here."""

import importlib
import pkgutil
from types import ModuleType

from fastgan.errors import ConfigError


def names() -> list[str]:
    """The models that this folder holds, sorted."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))


def load(name: str) -> ModuleType:
    """The module of model `name`, with its `Config`, `Generator` and `Discriminator`.

    Raises ConfigError, with the names there are, if there is none of that name.
    """
    if name not in names():
        raise ConfigError(f"[model] name = {name!r} is unknown: choose one of {', '.join(names())}.")
    return importlib.import_module(f"{__name__}.{name}")
