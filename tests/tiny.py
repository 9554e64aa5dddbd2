"""Tiny trained-looking models on disk, in the format that training writes, for the tests of what uses them."""

from dataclasses import asdict
from pathlib import Path

import onnx
import torch
from torch import nn

from fastgan import models
from fastgan.inference.onnx_digest import DATA_KEY, KEY
from fastgan.training import checkpoint

DATA_HASH = "ab" * 32
OPTIONS = {
    "dcgan": {"width": 4, "z_dim": 7},
    "r3gan": {"channel_multiplier": 1 / 48, "z_dim": 12},
    "sle": {"width": 1, "z_dim": 12},
    "stylegan": {"channel_multiplier": 1 / 64, "z_dim": 16, "w_dim": 16, "mapping_layers": 2},
    "swift": {"width": 4, "widest": 16, "z_dim": 12},
}


def tiny_run(
    folder: Path,
    name: str,
    *,
    seed: int = 0,
    resolution: int = 16,
    img_channels: int = 3,
    alive: bool = True,
    **conditions: int,
) -> Path:
    """A run folder with one checkpoint of a generator whose every parameter matters and whose images use the range.

    alive: False leaves the generator as it is born, which takes no memory for a batch of images. conditions: classes
    and attributes, called class0, class1, ... and attribute0, ...
    """
    torch.manual_seed(seed)
    module = models.load(name)
    classes, attributes = (conditions.get(key, 0) for key in ("classes", "attributes"))
    config = module.Config(resolution=resolution, img_channels=img_channels, **OPTIONS[name], **conditions)
    generator = module.Generator(config)
    if alive:
        _liven(generator, classes + 2 * attributes)
    state = {
        "cur_nimg": 1500,
        "config": {"model": {"name": name, **asdict(config)}, "data": {"source": "/secret/photos"}},
        "data": {
            "content_hash": DATA_HASH,
            "class_names": [f"class{k}" for k in range(classes)],
            "attribute_names": [f"attribute{k}" for k in range(attributes)],
        },
        "versions": {},
    }
    tensors = {f"g_ema.{key}": value for key, value in generator.state_dict().items()}
    if classes:
        tensors["conditions.labels"] = torch.arange(50) % classes
    if attributes:
        tensors["conditions.attributes"] = torch.arange(50 * attributes).view(50, -1) % 3 % 2.0
    checkpoint.save(folder, model=tensors, optimizer={}, state=state, keep=1)
    return folder


def unsealed(path: Path) -> onnx.ModelProto:
    """An exported model without its fingerprints, as one is that an older version wrote: to be changed and saved."""
    model = onnx.load(path)
    kept = {prop.key: prop.value for prop in model.metadata_props if prop.key not in (KEY, DATA_KEY)}
    onnx.helper.set_model_props(model, kept)
    return model


@torch.no_grad()
def _liven(generator: nn.Module, condition_dim: int) -> None:
    for name, tensor in generator.state_dict().items():
        if name.endswith(("strength", "bias", "bias_1", "bias_2", "w_avg", "running_mean")):
            tensor.normal_(0, 0.2)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif name.endswith("project.weight") and not tensor.any():
            nn.init.kaiming_normal_(tensor)  # R3GAN starts with branches of zero
    # The last layer is scaled so that the images have a spread of 0.5: the range is used, and little of it clipped.
    generator.eval()
    out = generator.to_rgb[-1] if hasattr(generator, "to_rgb") else generator.to_image
    for part in generator.modules():
        if isinstance(part, (nn.ConvTranspose2d, nn.Linear)) and part is not out:
            part.weight.mul_(20)  # DCGAN starts with weights of 0.02
    c = [torch.rand(16, condition_dim).round()] if condition_dim else []
    for _ in range(3):
        spread = generator(torch.randn(16, generator.z_dim), *c).std()
        out.weight.mul_(0.5 / spread)
