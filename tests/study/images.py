"""Labelled images that a tiny classifier can learn: bars by their direction, each with a place, a width and noise."""

from pathlib import Path

import torch
from PIL import Image

from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash, encode_names
from fastgan.study.labelled import Labelled

CLASSES = ("lying", "standing", "square")


def bars(per_class: int, *, seed: int = 0, size: int = 16, channels: int = 1) -> Labelled:
    """uint8 [3 per_class, size, size, channels], classes in turn."""
    random = torch.Generator().manual_seed(seed)
    targets = torch.arange(len(CLASSES)).repeat(per_class)
    images = 60 * torch.rand(len(targets), size, size, channels, generator=random)
    for image, label in zip(images, targets.tolist(), strict=True):
        y, x = torch.randint(1, size // 2, (2,), generator=random).tolist()
        thick = int(torch.randint(2, 4, (), generator=random))
        high, wide = ((thick, size // 2), (size // 2, thick), (size // 3, size // 3))[label]
        image[y : y + high, x : x + wide] += 120 + 60 * torch.rand((), generator=random)
    if channels == 4:
        images[..., 3] = 255
    return Labelled(images.to(torch.uint8), targets)


def bars_set(path: Path, per_class: int, **options: int) -> Path:
    """The same, packed."""
    found = bars(per_class, **options)
    names = [f"{CLASSES[k]}/{n:03d}.png" for n, k in enumerate(found.targets.tolist())]
    packed.write(
        path,
        Dataset(
            images=found.images,
            labels=found.targets,
            class_names=CLASSES,
            content_hash=content_hash(found.images, found.targets),
            name_bytes=encode_names(names),
        ),
    )
    return path


def bars_folder(path: Path, per_class: int, *, depth: int = 8, seed: int = 0) -> Path:
    """The same as class folders of PNG files of 8 or 16 bits."""
    found = bars(per_class, seed=seed)
    for n, (image, label) in enumerate(
        zip(found.images[..., 0].numpy(), found.targets.tolist(), strict=True)
    ):
        (path / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image if depth == 8 else image.astype("uint16") * 257)
        picture.save(path / CLASSES[label] / f"{n:03d}.png")
    return path
