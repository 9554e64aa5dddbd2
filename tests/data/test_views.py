"""Turning and zooming: what is drawn, and the resampling against cases that can be known without it."""

import numpy as np
import pytest
import torch

from fastgan.data import streams
from fastgan.data.views import angles, flips, turn, zooms

ONE = np.ones(1)


def random(n: int, size: int, channels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(channels)
    return torch.randint(0, 256, (n, size, size, channels), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("start", [0, 1, 6])
def test_angles_are_uniform_to_the_limit_and_depend_on_position_alone(start):
    drawn = angles(3, start, 20_000, 15.0)
    np.testing.assert_array_equal(drawn, angles(3, 0, 20_000 + start, 15.0)[start:])
    counts, _ = np.histogram(drawn, bins=10, range=(-15, 15))
    assert counts.sum() == 20_000  # none beyond the limit
    assert abs(counts - 2000).max() < 200  # standard deviation 42
    assert -15 <= drawn.min() < -14.9 < 14.9 < drawn.max() < 15


@pytest.mark.parametrize("start", [0, 1, 6])
def test_zooms_are_log_uniform_between_a_factor_and_its_inverse(start):
    drawn = zooms(3, start, 20_000, 0.25)
    np.testing.assert_array_equal(drawn, zooms(3, 0, 20_000 + start, 0.25)[start:])
    counts, _ = np.histogram(np.log(drawn) / np.log(1.25), bins=10, range=(-1, 1))
    assert counts.sum() == 20_000
    assert abs(counts - 2000).max() < 200
    assert 0.8 <= drawn.min() < 0.801 < 1.249 < drawn.max() < 1.25


def test_what_is_drawn_for_one_purpose_says_nothing_of_another():
    at = (8, 0, 20_000)
    drawn = [flips(*at), flips(*at, streams.FLIP_VERTICAL), angles(*at, 1.0), zooms(*at, 1.0)]
    correlation = np.corrcoef(np.stack([row.astype(float) for row in drawn]))
    assert abs(correlation - np.eye(4)).max() < 0.035  # 5 standard deviations


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("quarters", [-2, -1, 0, 1, 2, 5])
def test_quarter_turns_are_anticlockwise_and_exact(channels, quarters, device):
    pixels = random(3, 16, channels)
    pixels[..., 3:].clamp_(min=1)  # what is wholly transparent has no colour
    turned = turn(pixels.to(device), np.full(3, 90.0 * quarters), np.ones(3))
    assert turned.device.type == device.type
    expected = torch.rot90(pixels, quarters, (1, 2)).float()
    torch.testing.assert_close(turned.cpu(), expected, atol=0.02, rtol=0)


def test_a_slope_is_turned_and_zoomed_to_the_slope_that_geometry_says(device):
    """Linear interpolation is exact on a linear image, where it does not reach the edge."""
    middle = torch.arange(32).double() - 15.5
    x, y = middle[None, :], middle[:, None]
    pixels = (127 + 2 * x + 2 * y)[None, ..., None].to(torch.uint8).to(device)
    for angle, zoom in ((0, 1.5), (30, 1.0), (-75, 2.0), (10, 0.9)):
        turned = turn(pixels, angle * ONE, zoom * ONE)[0, ..., 0].cpu().double()
        cos, sin = np.cos(np.deg2rad(angle)) / zoom, np.sin(np.deg2rad(angle)) / zoom
        expected = 127 + 2 * (cos * x - sin * y) + 2 * (sin * x + cos * y)
        inside = (x**2 + y**2).sqrt() < 15 * zoom
        torch.testing.assert_close(turned[inside], expected[inside], atol=1e-2, rtol=0)


def test_a_large_zoom_leaves_the_middle_and_a_small_one_mirrors_the_edge(device):
    pixels = torch.zeros(1, 16, 16, 3, dtype=torch.uint8, device=device)
    pixels[:, 4:12, 4:12] = 255
    near = turn(pixels, 0 * ONE, 2 * ONE)
    assert (near[:, 1:15, 1:15] == 255).all()
    bright = torch.full((1, 16, 16, 3), 200, dtype=torch.uint8, device=device)
    torch.testing.assert_close(turn(bright, 33 * ONE, 0.5 * ONE), bright.float())  # no black corners


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_values_stay_within_a_byte(channels, device):
    at, contrast = (1, 0, 32), (random(32, 16, channels) > 100).to(torch.uint8).mul(255).to(device)
    turned = turn(contrast, angles(*at, 180), zooms(*at, 1))
    assert turned.min() >= 0
    assert turned.max() <= 255


def test_the_colour_of_what_is_transparent_does_not_shine_through(device):
    """A red disc on transparent green: every visible pixel stays red, and the rim becomes soft."""
    middle = torch.arange(16) - 7.5
    disc = (middle[None] ** 2 + middle[:, None] ** 2) < 25
    pixels = torch.zeros(1, 16, 16, 4, dtype=torch.uint8)
    pixels[0, ..., 1] = 255
    pixels[0][disc] = torch.tensor([255, 0, 0, 255], dtype=torch.uint8)
    turned = turn(pixels.to(device), 20 * ONE, 1.1 * ONE).cpu()[0]
    visible = turned[..., 3] > 0
    torch.testing.assert_close(
        turned[visible][:, :3], torch.tensor([255.0, 0, 0]).expand(visible.sum(), 3), atol=1e-2, rtol=0
    )
    assert ((turned[..., 3] > 10) & (turned[..., 3] < 245)).any()
