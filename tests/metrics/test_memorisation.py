"""Planted copies are found, honest images are not accused, and resemblance has a threshold."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fastgan.errors import MetricError
from fastgan.metrics import open_extractor
from fastgan.metrics.memorisation import ALPHA, audit, p_at_least
from fastgan.metrics.pairs import Names, closest, write_pairs
from fastgan.metrics.similarity import NONE, classify
from tests.metrics.sets import shapes


def described(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return open_extractor("random-conv")(images)["random-conv"], images


TRAIN = shapes(400)
HONEST = shapes(400, seed=1)


def noisy(images: torch.Tensor) -> torch.Tensor:
    return (images.float() + 4 * torch.randn(images.shape)).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("held_out", [None, shapes(300, seed=2)], ids=["against the others", "held out"])
@pytest.mark.parametrize(
    "change", [lambda x: x, lambda x: x.flip(2), noisy], ids=["exact", "mirrored", "noisy"]
)
def test_planted_copies_are_found(change, held_out: torch.Tensor | None) -> None:
    planted = torch.cat([HONEST[:180], change(TRAIN[50:70])])
    others = None if held_out is None else described(held_out)
    found = audit(described(TRAIN), described(planted), others)
    assert set(range(180, 200)) <= set(found.copies.tolist())
    assert len(found.copies) <= 20 + 180 * 4 * ALPHA + 2
    assert found.p_value < 1e-6
    assert found.verdict.startswith("it copies training images")
    assert found.pixels.generated.nearest[180:].tolist() == list(range(50, 70))


def test_honest_images_are_not_accused() -> None:
    found = audit(described(TRAIN), described(HONEST))
    assert found.p_value > 0.01
    assert len(found.copies) <= 4 * found.expected
    assert found.verdict.startswith("no sign of copying")


def test_p_values_are_honest() -> None:
    """Of honest generators a share of at most q has p <= q."""
    features = torch.randn(60, 150, 8, generator=torch.Generator().manual_seed(3))
    images = (features[..., :3] * 40 + 128).clamp(0, 255).to(torch.uint8).reshape(60, 150, 1, 1, 3)
    sets = [(part, image) for part, image in zip(features, images, strict=True)]
    p = [audit(a, b, c).features.p_value for a, b, c in zip(sets[::3], sets[1::3], sets[2::3], strict=True)]
    assert np.mean(np.array(p) <= 0.2) < 0.2 + 3 * math.sqrt(0.2 * 0.8 / len(p))


def test_the_p_value_counts_orderings() -> None:
    """3 generated and 4 real values in every order: how often do at least k of the 3 lie below the rank-th real one?"""
    orders = set(itertools.permutations("ggghhhh"))
    for rank in (1, 2):
        below = ["".join(order).split("h")[:rank] for order in orders]  # what stands before the rank-th h
        for k in range(4):
            exact = np.mean([sum(map(len, parts)) >= k for parts in below])
            assert p_at_least(k, 3, rank, 4) == pytest.approx(exact)


def test_duplicates_in_the_training_set_are_set_aside() -> None:
    doubled = torch.cat([TRAIN, TRAIN[:150]])
    found = audit(described(doubled), described(TRAIN[:40]))
    assert found.duplicates == 150
    assert len(found.copies) == 40


def test_too_few_images_to_judge_by_are_refused() -> None:
    with pytest.raises(MetricError, match="at least 100 different real images to judge by, and there are 60"):
        audit(described(TRAIN[:60]), described(HONEST))
    with pytest.raises(MetricError, match="there are 1"):
        audit(described(TRAIN[:1].expand(300, -1, -1, -1)), described(HONEST))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_picture_shows_copies_beside_their_originals(tmp_path: Path, channels: int) -> None:
    train = shapes(150, channels=channels)
    made = torch.cat([shapes(30, seed=1, channels=channels), train[7:8]])
    found = audit(described(train), described(made))
    write_pairs(tmp_path / "closest.png", found, made, train)
    sheet = np.asarray(Image.open(tmp_path / "closest.png"))
    top = 2 * 14 + 12  # below the heading
    generated, by_features, by_pixels = (
        sheet[top : top + 128, start : start + 128] for start in (0, 132, 264)
    )
    expected = train[7].numpy()[..., :3].astype(int)
    if channels == 4:
        alpha = train[7].numpy()[..., 3:] / 255
        expected = expected * alpha + 255 * (1 - alpha)  # on white
    assert np.abs(generated[::8, ::8] - expected).max() <= 1
    np.testing.assert_array_equal(generated, by_features)
    np.testing.assert_array_equal(generated, by_pixels)


def test_the_pairs_say_their_rank_distance_and_names(tmp_path: Path) -> None:
    train = shapes(150)
    made = torch.cat([shapes(30, seed=1), train[7:8]])
    found = audit(described(train), described(made))
    names = Names(generated=lambda k: f"seed {100 + k}", train=lambda k: f"photos/{k:06d}.png")
    pairs = closest(found, names)
    assert len(pairs) == 16
    assert pairs[0] == {
        "generated": "seed 130",
        "copy": True,
        "features": {"train": "photos/000007.png", "distance": 0.0},
        "pixels": {"train": "photos/000007.png", "distance": 0.0},
    }
    nearness = [min(pair["features"]["distance"], pair["pixels"]["distance"]) for pair in pairs]
    assert nearness == sorted(nearness)
    odd = Names(generated=lambda k: "x" * 300, train=lambda k: "caf\xe9/\u4f60\u597d/\x1b[31m\udce9.png")
    sheets = []
    for k, each in enumerate((names, odd, Names())):
        write_pairs(tmp_path / f"{k}.png", found, made, train, each)
        sheets.append(np.asarray(Image.open(tmp_path / f"{k}.png")))
    below = slice(2 * 14 + 12 + 128, 2 * 14 + 12 + 128 + 28)
    assert all((sheet[below] < 128).any() for sheet in sheets)  # ink
    assert (sheets[0][below] != sheets[2][below]).any()
    assert all((sheet[below, 128:132] == 255).all() for sheet in sheets)  # no caption runs into the next


def test_resemblance_gives_a_class_or_none() -> None:
    """Directions in a plane: class 0 along x, class 1 along y."""
    labels = torch.arange(2).repeat_interleave(6)
    train = torch.eye(2)[labels] + 0.01 * torch.arange(12)[:, None] / 12
    generated = torch.tensor([[5.0, 0.1], [0.0, 2.0], [1.0, 1.0], [-1.0, 0.1]])
    found = classify(train, labels, generated, threshold=0.9)
    assert found.classes.tolist() == [0, 1, NONE, NONE]
    assert found.agreement(torch.tensor([0, 0, 1, 1])) == 0.5
    assert found.similarity[2] == pytest.approx(math.sqrt(0.5), abs=0.02)
    with pytest.raises(MetricError, match="no cosine similarity"):
        classify(train, labels, generated, threshold=1.5)
    with pytest.raises(MetricError, match="class 1 has no training image"):
        classify(train, labels * 2, generated, threshold=0.5)
