"""Which images belong together: copies, near copies, and families that the user names.

Two images are near copies when their thumbnails correlate by more than ALIKE, mirrored or not: re-encoded, resized,
brightened or a little cropped. The correlation is that of all pixels about the image's own mean, so that plain pictures
are judged by what little is in them.
"""

import re

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.errors import ConfigError

ALIKE = 0.995
SIDE = 16  # pixels of a thumbnail
_ROWS = 1024


def copies(images: Tensor) -> Tensor:
    """int64 [N]: of images uint8 [N, H, W, C], the first row that has the same pixels."""
    first: dict[bytes, int] = {}
    flat = images.flatten(1).numpy()
    return torch.tensor([first.setdefault(row.tobytes(), k) for k, row in enumerate(flat)])


def near_copies(images: Tensor, others: Tensor | None = None) -> Tensor:
    """int64 [pairs, 2]: rows of `images` and of `others` (None: of `images`, each pair once) that are near copies."""
    ours = thumbnails(images)
    theirs = ours if others is None else thumbnails(others)
    mirrored = thumbnails((images if others is None else others).flip(2))
    pairs = []
    for start in range(0, len(ours), _ROWS):
        part = ours[start : start + _ROWS]
        alike = torch.maximum(part @ theirs.T, part @ mirrored.T) > ALIKE
        found = alike.nonzero()
        found[:, 0] += start
        pairs.append(found if others is not None else found[found[:, 0] < found[:, 1]])
    return torch.cat(pairs)


def thumbnails(images: Tensor) -> Tensor:
    """uint8 [N, H, W, C] -> float32 [N, D] of length 1 (0 for an image of one colour)."""
    pixels = images.permute(0, 3, 1, 2).float()
    if pixels.shape[-1] > SIDE:
        pixels = F.interpolate(pixels, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    flat = pixels.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-6)


def named(names: tuple[str, ...], pattern: str) -> list[str]:
    """The family of each image: what the first group of `pattern` finds in its name, else the name itself.

    ConfigError for a pattern that is none, has no group, or finds nothing anywhere.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--group-by {pattern!r} is no regular expression ({error})") from error
    if compiled.groups < 1:
        raise ConfigError(
            f"--group-by {pattern!r} has no group: put what names a family in brackets, as in '/(\\w+)_\\d+'"
        )
    found = [compiled.search(name) for name in names]
    if not any(found):
        shown = f": names are like {names[0]!r}" if names else ", for the images have no names"
        raise ConfigError(f"--group-by {pattern!r} finds no family in any image's name{shown}")
    return [match[1] if match and match[1] else name for match, name in zip(found, names, strict=True)]


def join(count: int, pairs: Tensor, groups: list[str] | None = None) -> Tensor:
    """int64 [count]: the family of each image, numbered from 0 in order of appearance.

    Images of a pair, and those of one group, are of one family, and so is whoever is kin to either (union-find).
    """
    parent = list(range(count))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    for a, b in pairs.tolist():
        parent[max(root(a), root(b))] = min(root(a), root(b))
    first: dict[str, int] = {}
    for k, group in enumerate(groups or ()):
        a, b = root(first.setdefault(group, k)), root(k)
        parent[max(a, b)] = min(a, b)
    numbers: dict[int, int] = {}
    return torch.tensor([numbers.setdefault(root(k), len(numbers)) for k in range(count)])
