"""Which images belong together: copies, near copies, and families that the user names.

Two images are near copies when their thumbnails correlate by more than ALIKE, mirrored or not: re-encoded, resized,
brightened or a little cropped. The correlation is that of all pixels about the image's own mean colour, so that plain
pictures are judged by what little is in them, and a channel that is the same all over (alpha, often) by nothing.
"""

import re

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.errors import ConfigError
from fastgan.naming import named

ALIKE = 0.995
SIDE = 16  # pixels of a thumbnail
_FLAT = 1e-2  # contrast of a thumbnail that is rounding: what is left of one colour
_ROWS = 1024


def copies(images: Tensor) -> Tensor:
    """int64 [N]: of images uint8 [N, H, W, C], the first row that has the same pixels."""
    first: dict[bytes, int] = {}
    flat = images.flatten(1).numpy()
    rows = [first.setdefault(row.tobytes(), k) for k, row in enumerate(flat)]
    return torch.tensor(rows, dtype=torch.int64)


def exact_copies(images: Tensor, others: Tensor) -> Tensor:
    """int64 [pairs, 2]: rows of `images`, and the first of `others` that has the same pixels."""
    first = copies(torch.cat([others, images]))[len(others) :]
    rows = (first < len(others)).nonzero()[:, 0]
    return torch.stack([rows, first[rows]], 1)


def near_copies(images: Tensor, others: Tensor | None = None, near: float = ALIKE) -> Tensor:
    """int64 [pairs, 2]: rows of `images` and of `others` (None: of `images`, each pair once) that are near copies.

    near: the correlation above which they are; none are from 1 on.
    """
    if near >= 1:  # rounding would let some through
        return torch.empty(0, 2, dtype=torch.int64)
    ours = thumbnails(images)
    theirs = ours if others is None else thumbnails(others)
    side = min(SIDE, images.shape[2])
    pairs = []
    for start in range(0, len(ours), _ROWS):
        part = ours[start : start + _ROWS]
        mirrored = part.unflatten(1, (-1, side, side)).flip(3).flatten(1)
        first = start if others is None else 0  # each pair once, and half the work
        alike = (part @ theirs[first:].T > near) | (mirrored @ theirs[first:].T > near)
        found = alike.nonzero() + torch.tensor([start, first])
        pairs.append(found if others is not None else found[found[:, 0] < found[:, 1]])
    return torch.cat(pairs) if pairs else torch.empty(0, 2, dtype=torch.int64)


def shared(images: Tensor, others: Tensor, near: float = ALIKE) -> Tensor:
    """int64 [pairs, 2]: rows of `images` and of `others` that are copies, or near ones."""
    return torch.cat([exact_copies(images, others), near_copies(images, others, near)])


def thumbnails(images: Tensor) -> Tensor:
    """uint8 [N, H, W, C] -> float32 [N, D] of length 1 (0 for an image of one colour)."""
    return torch.cat([_thumbnails(part) for part in images.split(_ROWS)])


def _thumbnails(images: Tensor) -> Tensor:
    pixels = images.permute(0, 3, 1, 2).float()
    if pixels.shape[-1] > SIDE:
        pixels = F.interpolate(pixels, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    flat = (pixels - pixels.mean((2, 3), keepdim=True)).flatten(1)
    return flat / flat.norm(dim=1, keepdim=True).clamp(min=_FLAT)


def by_name(names: tuple[str, ...], pattern: str, *, needed: bool = True) -> list[str | None]:
    """The family of each image: what the first group of `pattern` finds in its name, else None.

    ConfigError for a pattern that is none, has no group, or (where one is `needed`) finds nothing anywhere.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{named('group_by')} {pattern!r} is no regular expression ({error})") from error
    if compiled.groups < 1:
        raise ConfigError(
            f"{named('group_by')} {pattern!r} has no group: put what names a family in brackets, as in '/(\\w+)_\\d+'"
        )
    found = [compiled.search(name) for name in names]
    if needed and not any(found):
        shown = f": names are like {names[0]!r}" if names else ", for the images have no names"
        raise ConfigError(f"{named('group_by')} {pattern!r} finds no family in any image's name{shown}")
    return [(match[1] or None) if match else None for match in found]


def join(count: int, pairs: Tensor, groups: list[str | None] | None = None) -> Tensor:
    """int64 [count]: the family of each image, numbered from 0 in order of appearance.

    Images of a pair, and those of one group (None: of none), are of one family, and so is whoever is kin to either
    (union-find).
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
        if group is None:
            continue
        a, b = root(first.setdefault(group, k)), root(k)
        parent[max(a, b)] = min(a, b)
    numbers: dict[int, int] = {}
    return torch.tensor([numbers.setdefault(root(k), len(numbers)) for k in range(count)])
