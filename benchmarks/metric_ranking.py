"""Does the extractor that needs no download rank damaged images as it should? `python -m benchmarks.metric_ranking`.

Real avatars against other real avatars, damaged in several ways, each in four strengths; prints the Markdown table of
docs/metrics.md. A row is in order where every score gets worse with the strength.
"""

import argparse
import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.data.avatars import render
from fastgan.data.dataset import Dataset, content_hash
from fastgan.metrics import evaluator

Damage = Callable[[Tensor, Tensor, float], Tensor]
"""(images uint8 [N, H, W, 3], reference images, strength) -> uint8 [N, H, W, 3]"""


def _bytes(pixels: Tensor) -> Tensor:
    return pixels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _planes(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).float()


def blur(images: Tensor, _reference: Tensor, sigma: float) -> Tensor:
    """Gaussian, `sigma` pixels."""
    radius = math.ceil(3 * sigma)
    taps = torch.exp(-(torch.arange(-radius, radius + 1).float() ** 2) / (2 * sigma**2))
    row = (taps / taps.sum()).view(1, 1, 1, -1).expand(3, 1, 1, -1)
    x = F.pad(_planes(images), (radius,) * 4, mode="reflect")
    return _bytes(F.conv2d(F.conv2d(x, row, groups=3), row.transpose(2, 3), groups=3))


def noise(images: Tensor, _reference: Tensor, sigma: float) -> Tensor:
    """Gaussian, `sigma` grey levels."""
    x = _planes(images)
    return _bytes(x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)))


def swirl(images: Tensor, _reference: Tensor, angle: float) -> Tensor:
    """Turned by `angle` radians in the middle, less towards the rim; resampled at four times the size."""
    size = 4 * images.shape[1]
    large = F.interpolate(_planes(images), size=(size, size), mode="bicubic")
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    turn = angle * (1 - torch.hypot(x, y)).clamp(min=0)
    grid = torch.stack([x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos()], -1)
    turned = [
        F.grid_sample(one[None], grid[None], align_corners=False, padding_mode="border") for one in large
    ]
    return _bytes(F.interpolate(torch.cat(turned), scale_factor=0.25, mode="bilinear", antialias=True))


def dropped_modes(images: Tensor, _reference: Tensor, share: float) -> Tensor:
    """Only the `share` that is brightest is left, repeated."""
    kept = images.float().mean((1, 2, 3)).argsort(descending=True)[: max(2, round(share * len(images)))]
    return images[kept[torch.arange(len(images)) % len(kept)]]


def repeats(images: Tensor, _reference: Tensor, share: float) -> Tensor:
    """Only a `share` of the images is left, at random, repeated."""
    return images[torch.arange(len(images)) % max(2, round(share * len(images)))]


def memorised(images: Tensor, reference: Tensor, share: float) -> Tensor:
    """A `share` of the images is replaced by copies of reference images."""
    copied = round(share * len(images))
    return torch.cat([reference[:copied], images[copied:]])


def posterise(images: Tensor, _reference: Tensor, step: float) -> Tensor:
    """Grey levels in steps of `step`."""
    return ((images.float() / step).floor() * step + step / 2).clamp(0, 255).to(torch.uint8)


def hue(images: Tensor, _reference: Tensor, angle: float) -> Tensor:
    """Colours turned by `angle` radians about grey, which stays."""
    grey = torch.full((3, 3), 1 / 3)
    across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn = grey + math.cos(angle) * (torch.eye(3) - grey) + math.sin(angle) * across
    return _bytes((images.float() @ turn.T).permute(0, 3, 1, 2))


def checkerboard(images: Tensor, _reference: Tensor, levels: float) -> Tensor:
    """Every second pixel brighter by `levels`, the others darker."""
    line = 1 - 2 * (torch.arange(images.shape[1]) % 2).float()
    return _bytes(_planes(images) + levels * torch.outer(line, line))


DAMAGES: dict[str, tuple[Damage, tuple[float, ...]]] = {
    "blur, sigma px": (blur, (0.5, 1, 2, 4)),
    "noise, grey levels": (noise, (4, 8, 16, 32)),
    "swirl, radians": (swirl, (0.25, 0.5, 1, 2)),
    "posterised, grey levels": (posterise, (8, 16, 32, 64)),
    "hue, radians": (hue, (0.1, 0.2, 0.4, 0.8)),
    "checkerboard, grey levels": (checkerboard, (2, 4, 8, 16)),
    "modes dropped, share left": (dropped_modes, (0.8, 0.6, 0.4, 0.2)),
    "repeats, share left": (repeats, (0.5, 0.2, 0.05, 0.02)),
    "memorised copies, share": (memorised, (0.1, 0.25, 0.5, 1)),
}
SHOWN = {"fid": +1, "kid": +1, "precision": -1, "recall": -1, "density": -1, "coverage": -1, "periodic": +1}
"""Score -> whether worse is more or less"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1000, help="images on each side")
    parser.add_argument("--extractor", default=None)
    parser.add_argument("--damage", default="", help="only those whose name contains this")
    options = parser.parse_args()
    avatars = render(2 * options.n, size=64).images
    reference, others = avatars[: options.n], avatars[options.n :]
    dataset = Dataset(images=reference, content_hash=content_hash(reference))
    evaluate = evaluator(dataset, ("fid", "kid", "prdc", "periodic"), options.n, options.extractor)

    def scores(images: Tensor) -> dict[str, float]:
        found = evaluate(lambda start, n: images[start : start + n])
        return {name.partition("[")[0]: value for name, value in found.items()}

    print("| damage | score | none | " + " | ".join(f"strength {i}" for i in range(1, 5)) + " | in order |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    untouched = scores(others)
    for name, (damage, strengths) in DAMAGES.items():
        if options.damage not in name:
            continue
        rows = [untouched, *(scores(damage(others, reference, strength)) for strength in strengths)]
        for score, sign in SHOWN.items():
            values = [row[score] for row in rows]
            in_order = all(sign * (b - a) > 0 for a, b in pairwise(values))
            cells = " | ".join(f"{value:.3g}" for value in values)
            label = f"{name} {', '.join(f'{s:g}' for s in strengths)}"
            print(f"| {label} | {score} | {cells} | {'yes' if in_order else 'no'} |", flush=True)


if __name__ == "__main__":
    main()
