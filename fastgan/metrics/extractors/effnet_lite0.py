"""EfficientNet-Lite0, trained on ImageNet, from a package: the extractor that needs no download.

Two spaces: 112 channels after block 10 for the Frechet distance, whose bias grows with the dimension, and the 1280 of
the head for everything else. docs/metrics.md has the measurements behind this.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from fastgan.effnet_lite0 import NAME, OFFSET, PACKAGE, SCALE, SHA256, TAPS, EffnetLite0, published, read
from fastgan.errors import MetricError
from fastgan.metrics.extractor import Extractor
from fastgan.metrics.resize import bilinear, to_rgb
from fastgan.naming import named

BLOCK = 10
SIZE = 128


def open_network(device: torch.device) -> Extractor:
    """The network on `device`, in float32. MetricError where the package is missing or holds other weights."""
    try:
        model = EffnetLite0(read(published(MetricError)), device)
    except ImportError as error:
        raise MetricError(
            f"the extractor {NAME} needs the package {error.name}: install it with "
            f"pip install {PACKAGE}, or take another {named('extractor')}."
        ) from error

    def blocks(images: Tensor) -> list[Tensor]:
        return model.blocks((bilinear(to_rgb(images), SIZE) - OFFSET) / SCALE)

    def network(images: Tensor) -> Mapping[str, Tensor]:
        maps = blocks(images)
        head = model.head(maps[-1])
        return {
            f"{NAME}-b{BLOCK}": maps[BLOCK].mean((2, 3)),  # [N, 112]
            NAME: head,  # [N, 1280]
            f"{NAME}-logits": model.logits(head),  # [N, 1000]
        }

    def taps(images: Tensor) -> list[Tensor]:
        maps = blocks(images)
        return [maps[index] for index in TAPS]

    return Extractor(
        name=NAME,
        network=network,
        spaces={"fid": f"{NAME}-b{BLOCK}", "kid": NAME, "prdc": NAME, "is": f"{NAME}-logits"},
        weights_sha256=SHA256,
        resizer=f"bilinear {SIZE} px, antialiased",
        pixel_range="(x - 127) / 128",
        device=device,
        taps=taps,
    )
