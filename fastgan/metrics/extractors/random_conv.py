"""Features that nobody trained: random convolutions at four scales, the same bits on every machine.

Naeem et al. 2020 (section 4) score images far from ImageNet in the features of a random network. This one sees colour,
texture and a coarse layout, knows no objects, and cannot have been flattered by a discriminator on pretrained features.

Images are taken at 64 px. At each scale (64, 32, 16 and 8 px, halved by means of 2x2) 8 colour channels (1x1) and 16
textures (3x3 of zero mean, so that flat areas answer 0) go through a leaky ReLU, then a 3x3 convolution to 32 channels
and ReLU. The features of a scale are the means of these 32 over each quarter of the image, and the root mean squares
of the 16 textures: 144 of 576 in all. Weights are whole numbers from Philox, scaled.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.metrics.extractor import Extractor
from fastgan.metrics.resize import bilinear, to_rgb

NAME = "random-conv"
SIZE = 64
SCALES = 4
COLOURS, TEXTURES, MIXED = 8, 16, 32
CLASSES = 10  # of a head for `is`, which means nothing
_GAIN = 4.0  # of textures: neighbouring pixels differ by less than colours do


class _Draws:
    """Whole numbers from Philox, uniform over the odd ones in -255 ... 255: exact in every arithmetic."""

    def __init__(self) -> None:
        self._words = np.random.Philox(key=0)  # numpy promises that its raw words never change

    def __call__(self, *shape: int) -> np.ndarray:
        words = self._words.random_raw(int(np.prod(shape)))
        return ((words >> np.uint64(56)).astype(np.int64) * 2 - 255).reshape(shape)


_SPREAD = (65535 / 3) ** 0.5
"""Standard deviation of a draw"""


@dataclass(frozen=True)
class Scale:
    """The weights of one scale, float32."""

    colours: Tensor
    """[COLOURS, 3, 1, 1]"""
    textures: Tensor
    """[TEXTURES, 3, 3, 3], each plane of zero mean"""
    mixing: Tensor
    """[MIXED, COLOURS + TEXTURES, 3, 3]"""


def weights() -> tuple[list[Scale], Tensor]:
    """The scales from fine to coarse, and the head [features, CLASSES]."""
    draws = _Draws()

    def scaled(whole: np.ndarray, factor: float) -> Tensor:
        return torch.from_numpy((whole * factor).astype(np.float32))

    scales = []
    for _ in range(SCALES):
        colours = scaled(draws(COLOURS, 3, 1, 1), 1 / (_SPREAD * 3**0.5))
        textures = draws(TEXTURES, 3, 3, 3)
        textures = 9 * textures - textures.sum((2, 3), keepdims=True)
        inputs = COLOURS + TEXTURES
        mixing = scaled(draws(MIXED, inputs, 3, 3), (2 / (9 * inputs)) ** 0.5 / _SPREAD)
        scales.append(Scale(colours, scaled(textures, _GAIN / (9 * _SPREAD * 27**0.5)), mixing))
    features = SCALES * (4 * MIXED + TEXTURES)
    return scales, scaled(draws(features, CLASSES), features**-0.5 / _SPREAD)


def _digest(scales: list[Scale]) -> str:
    """SHA-256 over the weights as little-endian float32, scale by scale."""
    sha = hashlib.sha256()
    for scale in scales:
        for part in (scale.colours, scale.textures, scale.mixing):
            sha.update(part.numpy().astype("<f4").tobytes())
    return sha.hexdigest()


def open_network(device: torch.device) -> Extractor:
    """The network on `device`, in float32."""
    scales, head = weights()
    digest = _digest(scales)
    scales = [
        Scale(*(part.to(device) for part in (scale.colours, scale.textures, scale.mixing)))
        for scale in scales
    ]
    head = head.to(device)

    def maps(images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each scale's textures [N, TEXTURES, s, s] and mixed channels [N, MIXED, s, s]."""
        x, found = bilinear(to_rgb(images), SIZE) / 127.5 - 1, []
        for number, scale in enumerate(scales):
            x = F.avg_pool2d(x, 2) if number else x
            textures = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), scale.textures)
            both = F.leaky_relu(torch.cat([F.conv2d(x, scale.colours), textures], 1), 0.2)
            found.append((textures, F.conv2d(both, scale.mixing, padding=1).relu()))
        return found

    def network(images: Tensor) -> Mapping[str, Tensor]:
        parts = []
        for textures, mixed in maps(images):
            parts += [F.adaptive_avg_pool2d(mixed, 2).flatten(1), textures.square().mean((2, 3)).sqrt()]
        features = torch.cat(parts, 1)  # [N, 576]
        return {NAME: features, f"{NAME}-logits": features @ head}

    return Extractor(
        name=NAME,
        network=network,
        spaces={"fid": NAME, "kid": NAME, "prdc": NAME, "is": f"{NAME}-logits"},
        weights_sha256=digest,
        resizer=f"bilinear {SIZE} px, antialiased",
        pixel_range="x / 127.5 - 1",
        device=device,
        taps=lambda images: [mixed for _, mixed in maps(images)],
    )
