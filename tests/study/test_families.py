"""Who belongs together."""

import io

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from fastgan.errors import ConfigError
from fastgan.study import families

MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def scenes(count: int, channels: int, *, side: int = 64, top: float = 255, seed: int = 0) -> Tensor:
    """Smooth pictures uint8 [count, side, side, channels], opaque; no two alike."""
    random = torch.Generator().manual_seed(seed)
    coarse = top * torch.rand(count, channels, 4, 4, generator=random)
    found = F.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, top).permute(0, 2, 3, 1)
    if channels == 4:
        found[..., 3] = 255
    return found.to(torch.uint8)


def reencoded(images: Tensor) -> Tensor:
    out = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image[..., :3].squeeze(2).numpy()).save(file, "JPEG", quality=60)
        again = torch.frombuffer(bytearray(Image.open(file).tobytes()), dtype=torch.uint8)
        again = again.view(*image.shape[:2], -1)
        out.append(torch.cat([again, image[..., 3:]], 2) if len(image[0, 0]) == 4 else again)
    return torch.stack(out)


def cropped(images: Tensor) -> Tensor:
    inner = images[:, 1:-1, 1:-1].permute(0, 3, 1, 2).float()
    return F.interpolate(inner, size=images.shape[1:3], mode="bilinear").permute(0, 2, 3, 1).to(torch.uint8)


def brightened(images: Tensor) -> Tensor:
    lit = images.float()
    lit[..., :3] = 0.8 * lit[..., :3] + 30
    return lit.to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("change", [reencoded, brightened, cropped, lambda images: images.flip(2)])
def test_near_copies_are_found_and_nothing_else(change, channels: int) -> None:
    images = scenes(40, channels)
    changed = change(images)
    own = torch.arange(40)
    assert torch.equal(families.near_copies(changed, images), torch.stack([own, own], 1))
    both = torch.cat([images, changed])
    assert torch.equal(families.near_copies(both), torch.stack([own, own + 40], 1))


def test_an_alpha_channel_that_is_the_same_all_over_makes_no_copies() -> None:
    dark = scenes(30, 4, side=32, top=20)
    assert len(families.near_copies(dark)) == len(families.near_copies(dark[..., :3])) == 0
    shape = dark.clone()
    shape[:, :8, :, 3] = 0
    assert len(families.near_copies(shape, shape.clone())) >= 30


@pytest.mark.parametrize("side", [16, 28, 64])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_image_of_one_colour_is_like_nothing(side: int, channels: int) -> None:
    plain = torch.tensor([37, 254, 201, 255][:channels], dtype=torch.uint8).expand(2, side, side, channels)
    assert not len(families.near_copies(plain))
    assert families.exact_copies(plain[:1], plain).tolist() == [[0, 0]]


def test_who_is_near_can_be_said() -> None:
    images = scenes(10, 1, side=32)
    changed = reencoded(images)
    one = families.near_copies(images, images, near=1)
    assert (one.shape, one.dtype) == ((0, 2), torch.int64)
    alike = (families.thumbnails(images) * families.thumbnails(changed)).sum(1)
    middle = float(alike.sort().values[4:6].mean())
    found = families.near_copies(images, changed, near=middle)
    assert found[:, 0].tolist() == (alike > middle).nonzero()[:, 0].tolist()


def test_big_sets_are_looked_at_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.cat(
        [scenes(20, 3, side=24), scenes(20, 3, side=24).flip(2), scenes(5, 3, side=24, seed=1)]
    )
    whole, pairs = families.thumbnails(images), families.near_copies(images)
    monkeypatch.setattr(families, "_ROWS", 7)
    seen: list[int] = []
    shrink = F.interpolate
    monkeypatch.setattr(
        F, "interpolate", lambda pixels, **how: seen.append(len(pixels)) or shrink(pixels, **how)
    )
    torch.testing.assert_close(families.thumbnails(images), whole)
    assert len(pairs) == 20
    assert torch.equal(families.near_copies(images), pairs)
    assert max(seen) <= 7
    assert sum(seen) == 2 * len(images), "the mirrored ones are made of the thumbnails"


def test_names_give_families_by_a_pattern() -> None:
    names = ("cat/anna_1.png", "cat/anna_2.png", "cat/bob.png")
    assert families.by_name(names, r"/([a-z]+)_\d") == ["anna", "anna", None]
    assert families.join(3, torch.empty(0, 2), ["anna", None, "anna"]).tolist() == [0, 1, 0]
    assert families.by_name(names, "(zz)", needed=False) == [None] * 3
    for pattern, words in (("(", "no regular expression"), ("anna", "no group"), ("(zz)", "finds no family")):
        with pytest.raises(ConfigError, match=words):
            families.by_name(names, pattern)
