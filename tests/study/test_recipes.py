"""What classical augmentation does to an image, and which of it is chosen."""

import pytest
import torch

from fastgan.study import recipes
from fastgan.study.recipes import RECIPES, Recipe


def noise(count: int, channels: int = 3, side: int = 16) -> torch.Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0)) - 0.5


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_a_recipe_of_nothing_changes_nothing() -> None:
    torch.testing.assert_close(Recipe(name="")(noise(4), seeded()), noise(4))


def test_a_flip_mirrors_half_of_the_images_and_leaves_the_others() -> None:
    images = noise(200)
    flipped = Recipe(name="", flip=True)(images, seeded())
    same = torch.isclose(flipped, images, atol=1e-5).all((1, 2, 3))
    mirrored = torch.isclose(flipped, images.flip(3), atol=1e-5).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 70 < int(mirrored.sum()) < 130


def test_jitter_is_one_line_through_all_colours_of_an_image_and_leaves_alpha() -> None:
    images = noise(20, channels=4)
    changed = Recipe(name="", jitter=0.25)(images, seeded())
    torch.testing.assert_close(changed[:, 3:], images[:, 3:])
    for old, new in zip(images[:, :3].flatten(1), changed[:, :3].flatten(1), strict=True):
        slope = ((old - old.mean()) * (new - new.mean())).sum() / (old - old.mean()).square().sum()
        assert 0.75 <= float(slope) <= 1.25
        assert abs(float(new.mean() - old.mean())) <= 0.25
        torch.testing.assert_close(new, slope * (old - old.mean()) + new.mean(), atol=1e-4, rtol=0)


def test_a_crop_shifts_by_no_more_than_its_share_of_the_side() -> None:
    ramp = torch.linspace(-1, 1, 33).expand(50, 1, 33, 33)  # each column its place
    shifts = (Recipe(name="", shift=0.06)(ramp, seeded()) - ramp)[:, 0, 16, 16] / 2 * 32 / 33
    assert shifts.abs().max() <= 0.0601
    assert shifts.min() < -0.04
    assert shifts.max() > 0.04


def test_a_turn_and_a_scale_move_a_point_as_far_as_they_say() -> None:
    side = 65
    ys, xs = torch.meshgrid(*[torch.arange(side) - 32.0] * 2, indexing="ij")
    place = torch.stack([xs, ys])[None].expand(100, 2, side, side) / 64
    moved = Recipe(name="", turn=10.0, zoom=0.12)(place, seeded())[:, :, 32, 32 + 16] * 64  # from the middle
    turned = torch.atan2(moved[:, 1], moved[:, 0]).rad2deg()
    scaled = moved.norm(dim=1) / 16
    assert 8 < float(turned.abs().max()) <= 10.01
    assert 1 / 1.1201 <= float(scaled.min()) < 0.92
    assert 1.08 < float(scaled.max()) <= 1.1201


def test_what_data_stand_is_chosen_and_of_equals_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "RECIPES", RECIPES)  # which are one in other tests
    best, scores = recipes.choose(lambda recipe: 0.5 - recipe.flip - recipe.turn)
    assert best is next(recipe for recipe in RECIPES if not recipe.flip and not recipe.turn)
    assert {*scores} == {recipe.name for recipe in RECIPES}
    assert recipes.named(best.name) is best
