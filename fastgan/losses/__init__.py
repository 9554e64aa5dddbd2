"""Adversarial losses, one file each, and what goes with them: penalties, and the auxiliary classifier's loss.

Adding a loss is adding a file here.

A loss file holds three functions of logits and a constant:

    generator(fake_logits, real_logits=None) -> scalar
    discriminator(real_logits, fake_logits) -> scalar
    realness(real_logits, fake_logits) -> [N], positive where the discriminator takes a real image for real
    GENERATOR_NEEDS_REAL: whether `generator` wants `real_logits`, of as many real images as there are fakes
"""

import importlib
import pkgutil
from types import ModuleType

from fastgan.errors import ConfigError

_BESIDE = ("penalties", "auxiliary")


def names() -> list[str]:
    """The losses that this folder holds, sorted."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name not in _BESIDE)


def load(name: str) -> ModuleType:
    """The module of loss `name`: `generator`, `discriminator`, `realness` and `GENERATOR_NEEDS_REAL`.

    Raises ConfigError, with the names there are, if there is none of that name.
    """
    if name not in names():
        raise ConfigError(f"[loss] name = {name!r} is unknown: choose one of {', '.join(names())}.")
    return importlib.import_module(f"{__name__}.{name}")
