"""Policy strings -> a function of images: `"color,translation,cutout"`, `"ada"`, `"ada,cutout"`, `"none"`."""

import importlib
import pkgutil
from pathlib import Path

import torch
from torch import Tensor

from fastgan.diffaug._draw import Probability
from fastgan.errors import ConfigError

GROUPS = {
    "color": ("brightness", "saturation", "contrast"),
    "ada": (
        "flip",
        "rotation",
        "translation",
        "scaling",
        "brightness",
        "contrast",
        "luma",
        "hue",
        "saturation",
    ),
}
"""Names that stand for several transforms: DiffAugment's colours, and blitting, geometry and colour of ADA."""
_NO_TRANSFORM = ("adaptive", "policy")


def names() -> list[str]:
    """The transforms that this folder holds, sorted."""
    found = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(name for name in found if not name.startswith("_") and name not in _NO_TRANSFORM)


class Policy:
    """Transforms in the order named, each applied to each image with probability p, independently.

    `adaptive` says that p is to come from a `Controller`; else every image takes every transform (p = 1).
    """

    def __init__(self, transforms: list[str], *, adaptive: bool) -> None:
        self.transforms, self.adaptive = transforms, adaptive
        self._augment = [importlib.import_module(f"fastgan.diffaug.{name}").augment for name in transforms]

    def __call__(self, images: Tensor, p: Probability = 1.0) -> Tensor:
        """images: [N, 1 to 4, H, W] in [-1, 1] -> the same shape, dtype and memory format; p: a number or 0-dim tensor.

        Values may leave [-1, 1]. Computed in float32 or wider, outside autocast; twice differentiable.
        """
        if not self._augment or not len(images):
            return images
        # With 3 channels, NCHW is over ten times faster than channels_last here: broadcasting has long inner loops.
        x = images.to(torch.promote_types(images.dtype, torch.float32), memory_format=torch.contiguous_format)
        with torch.autocast(images.device.type, enabled=False):
            for augment in self._augment:
                x = augment(x, p)
        layout = torch.contiguous_format if images.is_contiguous() else torch.channels_last
        return x.to(images.dtype).contiguous(memory_format=layout)


def load(policy: str) -> Policy:
    """The policy of a comma-separated string: names of this folder's files and of GROUPS, or `none` alone.

    Raises ConfigError for a name that is neither, and for a transform that comes twice.
    """
    parts = [part.strip() for part in policy.split(",")]
    if parts == ["none"]:
        return Policy([], adaptive=False)
    transforms = [name for part in parts for name in GROUPS.get(part, (part,))]
    for name in transforms:
        if name not in names():
            known = ", ".join(["none", *GROUPS, *names()])
            raise ConfigError(f"augmentation {name!r} in {policy!r} is unknown: choose from {known}.")
        if transforms.count(name) > 1:
            raise ConfigError(f"augmentation {name!r} comes twice in {policy!r}: name it once.")
    return Policy(transforms, adaptive="ada" in parts)
