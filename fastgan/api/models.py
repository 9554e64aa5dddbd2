"""The architectures and presets that there are, and networks of an architecture, as timm gives them."""

import difflib
import fnmatch
from typing import Any

from torch import nn

from fastgan import arguments, models
from fastgan.config import preset_names
from fastgan.errors import ConfigError
from fastgan.naming import in_a_line
from fastgan.training.options import tables

PARTS = ("generator", "discriminator")


def list_models(pattern: str = "*") -> list[str]:
    """Names of the architectures, sorted; pattern: those alone that match it, as in "style*"."""
    return fnmatch.filter(models.names(), arguments.text(pattern, "pattern"))


def list_presets(pattern: str = "*") -> list[str]:
    """Names of the presets of `fastgan.train`, sorted; pattern: those alone that match it, as in "wgan*"."""
    return fnmatch.filter(preset_names(), arguments.text(pattern, "pattern"))


def create_model(name: str, resolution: int = 64, *, part: str = "generator", **config: Any) -> nn.Module:
    """A network of architecture `name`, with fresh weights from torch's global random numbers, in training mode.

    A generator maps latents float32 [N, z_dim] to images [N, img_channels, resolution, resolution] that are meant to
    lie in [-1, 1]; a discriminator maps such images to logits [N], higher for real. Both take the conditions
    [N, classes + attributes] as a second argument where config asks for some. part: "generator" or "discriminator".
    config: settings of the architecture, as in z_dim=128 (its Config in fastgan/models/NAME.py).

    Raises ConfigError for an unknown name or setting, with the nearest ones, and for impossible values.
    """
    if not isinstance(name, str) or name not in models.names():
        close = difflib.get_close_matches(str(name), models.names(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(models.names())}."
        raise ConfigError(f"there is no model {in_a_line(repr(name))}: {hint}")
    arguments.one_of(part, "part", PARTS)
    settings = models.configure(tables({"name": name, "resolution": resolution, **config}), "")
    return models.generator(settings) if part == "generator" else models.discriminator(settings)
