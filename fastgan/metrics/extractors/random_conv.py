"""Random convolutions: needs nothing and means little, but ranks gross differences; for tests and smoke runs."""

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.metrics.extractor import Extractor
from fastgan.metrics.resize import bilinear, to_rgb

NAME = "random-conv"
SIZE = 32
_WIDTHS = (3, 16, 32)


def open_network(device: torch.device) -> Extractor:
    """48 features at two scales, and 10 classes that mean nothing."""
    random = torch.Generator().manual_seed(0)
    kernels = [
        (torch.randn(out, into, 3, 3, generator=random) / (9 * into) ** 0.5).to(device)
        for into, out in pairwise(_WIDTHS)
    ]
    head = torch.randn(sum(_WIDTHS[1:]), 10, generator=random).to(device)

    def taps(images: Tensor) -> list[Tensor]:
        x = bilinear(to_rgb(images), SIZE) / 127.5 - 1
        maps = []
        for kernel in kernels:
            x = F.conv2d(x, kernel, stride=2, padding=1).relu()
            maps.append(x)
        return maps

    def network(images: Tensor) -> Mapping[str, Tensor]:
        features = torch.cat([x.mean((2, 3)) for x in taps(images)], 1)
        return {NAME: features, f"{NAME}-logits": features @ head}

    return Extractor(
        name=NAME,
        network=network,
        spaces={"fid": NAME, "kid": NAME, "prdc": NAME, "is": f"{NAME}-logits"},
        weights_sha256="seed 0",
        resizer=f"bilinear {SIZE} px, antialiased",
        pixel_range="x / 127.5 - 1",
        device=device,
        taps=taps,
    )
