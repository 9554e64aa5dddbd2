"""Small sets of images for the tests of metrics."""

import torch

from fastgan.data.dataset import Dataset, content_hash


def shapes(n: int, *, seed: int = 0, size: int = 16, channels: int = 3) -> torch.Tensor:
    """uint8 [n, size, size, channels]: a bright rectangle on a dark ground, both of random place and colour."""
    random = torch.Generator().manual_seed(seed)
    images = (
        torch.randint(0, 90, (n, 1, 1, channels), generator=random).expand(n, size, size, channels).clone()
    )
    corners = torch.randint(0, size // 2, (n, 2), generator=random)
    sides = torch.randint(size // 4, size // 2, (n, 2), generator=random)
    colours = torch.randint(120, 256, (n, channels), generator=random)
    for image, (y, x), (h, w), colour in zip(images, corners, sides, colours, strict=True):
        image[y : y + h, x : x + w] = colour
    return images.to(torch.uint8)


def dataset(n: int, **options: int) -> Dataset:
    """The same as a Dataset."""
    images = shapes(n, **options)
    return Dataset(images=images, content_hash=content_hash(images))
