"""Each transform against its definition, with its parameters given."""

import importlib
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan import diffaug


def transform(name: str):
    return importlib.import_module(f"fastgan.diffaug.{name}")


def batch(device: torch.device, *shape: int) -> Tensor:
    return torch.rand(shape, device=device, dtype=torch.float64) * 2 - 1


def each(device: torch.device, *values: float) -> Tensor:
    """A parameter with one value a sample."""
    return torch.tensor(values, device=device, dtype=torch.float64).view(-1, 1, 1, 1)


def which(device: torch.device, *values: bool) -> Tensor:
    return torch.tensor(values, device=device).view(-1, 1, 1, 1)


@pytest.mark.parametrize("name", diffaug.names())
@pytest.mark.parametrize("p", [1.0, 0.5])
def test_first_and_second_derivatives(device, name, p):
    policy = diffaug.load(name)
    x = batch(device, 3, 3, 5, 5).requires_grad_()

    def function(x: Tensor) -> Tensor:
        torch.manual_seed(4)
        return policy(x, p)

    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x, fast_mode=True)
    # The transforms are affine in the images: the square has a second derivative that is not zero.
    assert torch.autograd.gradgradcheck(lambda x: function(x).square().sum((1, 2, 3)), x, fast_mode=True)


def test_brightness_adds_a_number_a_sample(device):
    x = batch(device, 2, 3, 4, 4)
    y = transform("brightness").brighten(x, each(device, 0.25, -0.5))
    torch.testing.assert_close(y, torch.stack([x[0] + 0.25, x[1] - 0.5]))


def test_saturation_scales_about_each_pixels_grey(device):
    x = batch(device, 3, 3, 4, 4)
    y = transform("saturation").saturate(x, each(device, 0.0, 1.0, 2.0))
    grey = x.mean(1, keepdim=True)
    torch.testing.assert_close(y[0], grey[0].expand(3, 4, 4))
    assert torch.equal(y[1], x[1])
    torch.testing.assert_close(y[2], 2 * x[2] - grey[2])
    assert torch.equal(transform("saturation").saturate(x[:, :1], each(device, 0.3, 1.7, 0.0)), x[:, :1])


def test_contrast_scales_about_each_images_mean(device):
    x = batch(device, 2, 3, 4, 4)
    y = transform("contrast").contrast(x, each(device, 0.5, 1.0))
    torch.testing.assert_close(y[0], 0.5 * x[0] + 0.5 * x[0].mean())
    assert torch.equal(y[1], x[1])


def test_hue_turns_about_the_grey_axis(device):
    x = batch(device, 4, 3, 4, 4)
    turn = transform("hue").turn
    third = 2 * math.pi / 3
    y = turn(x, each(device, third, -third, 0.0, 1.0))
    torch.testing.assert_close(y[0], x[0].roll(1, 0))  # red becomes green
    torch.testing.assert_close(y[1], x[1].roll(-1, 0))
    assert torch.equal(y[2], x[2])
    for keep in (lambda x: x.mean(1), lambda x: x.norm(dim=1)):  # a rotation that leaves the axis alone
        torch.testing.assert_close(keep(y), keep(x))
    torch.testing.assert_close(turn(turn(x, each(device, *[0.7] * 4)), each(device, *[-0.7] * 4)), x)
    assert turn(x[:, :2], each(device, *[1.0] * 4)).equal(x[:, :2])


def test_luma_flip_swaps_light_and_dark_only(device):
    x = batch(device, 2, 3, 4, 4)
    flip = transform("luma").flip_luma
    y = flip(x, which(device, True, False))
    torch.testing.assert_close(y[0].mean(0), -x[0].mean(0))
    torch.testing.assert_close(y[0] - y[0].mean(0), x[0] - x[0].mean(0))
    assert torch.equal(y[1], x[1])
    torch.testing.assert_close(flip(y, which(device, True, False)), x)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("name", ["brightness", "saturation", "contrast", "hue", "luma"])
def test_alpha_keeps_out_of_colours(device, name, channels):
    x = batch(device, 5, channels, 4, 4)
    torch.manual_seed(1)
    y = transform(name).augment(x, 1.0)
    assert torch.equal(y[:, -1], x[:, -1])
    torch.manual_seed(1)
    torch.testing.assert_close(y[:, :-1], transform(name).augment(x[:, :-1], 1.0))


def test_flip_twice_is_the_identity(device):
    x = batch(device, 2, 3, 4, 5)
    flip, some = transform("flip").flip, which(device, True, False)
    assert torch.equal(flip(x, some), torch.stack([x[0].flip(2), x[1]]))
    assert torch.equal(flip(flip(x, some), some), x)


def test_rotation_makes_all_four_turns(device):
    x = batch(device, 4, 3, 5, 5)
    quarter, half = which(device, False, True, False, True), which(device, False, False, True, True)
    y = transform("rotation").rotate(x, quarter, half)
    assert torch.equal(y, torch.stack([torch.rot90(x[k], k, (1, 2)) for k in range(4)]))
    wide = batch(device, 4, 3, 4, 6)
    y = transform("rotation").rotate(wide, quarter, half)
    assert torch.equal(y, torch.stack([torch.rot90(wide[k], k // 2 * 2, (1, 2)) for k in range(4)]))


def moved(x: Tensor, down: int, right: int) -> Tensor:
    """One image [C, H, W], pixel by pixel."""
    y = torch.zeros_like(x)
    h, w = x.shape[1:]
    for i in range(h):
        for j in range(w):
            if 0 <= i - down < h and 0 <= j - right < w:
                y[:, i, j] = x[:, i - down, j - right]
    return y


def test_translation_moves_whole_pixels_and_zeros_in(device):
    x = batch(device, 5, 3, 6, 7)
    down, right = [0, 2, -1, -2, 1], [0, -3, 3, 1, 0]
    d, r = (torch.tensor(v, device=device).view(-1, 1, 1, 1) for v in (down, right))
    translate = transform("translation").translate
    y = translate(x, d, r, (2, 3))
    assert torch.equal(y, torch.stack([moved(x[k], down[k], right[k]) for k in range(5)]))
    channels_last = x.to(memory_format=torch.channels_last)
    assert torch.equal(translate(channels_last, d, r, (2, 3)), y)


def test_translation_moves_no_further_than_an_eighth_and_reaches_it(device):
    x = torch.zeros(2000, 1, 16, 32, device=device)
    x[:, :, 8, 16] = 1.0
    y = transform("translation").augment(x, 1.0)
    _, _, rows, columns = y.nonzero(as_tuple=True)
    assert len(rows) == len(x)
    down, right = rows - 8, columns - 16
    assert sorted(down.unique().tolist()) == list(range(-2, 3))
    assert sorted(right.unique().tolist()) == list(range(-4, 5))
    assert torch.stack([down, right]).double().corrcoef()[0, 1].abs() < 0.1
    assert ((down + 2).bincount() > 300).all()  # 400 each, on average


def test_scaling_is_linear_interpolation_with_mirrored_edges(device):
    """Zooming in is what grid_sample does."""
    x = batch(device, 3, 3, 8, 9)
    factor = each(device, 1.0, 1.3, 2.5)
    y = transform("scaling").scale(x, factor)
    theta = torch.zeros(3, 2, 3, device=device, dtype=torch.float64)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / factor.flatten()
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    expected = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    torch.testing.assert_close(y, expected)
    assert torch.equal(y[0], x[0])


def test_scaling_out_mirrors_and_does_not_alias(device):
    scale = transform("scaling").scale
    flat = torch.full((3, 1, 8, 8), 0.7, device=device, dtype=torch.float64)
    torch.testing.assert_close(scale(flat, each(device, 0.34, 0.5, 3.0)), flat)
    stripes = torch.ones(1, 1, 16, 16, device=device, dtype=torch.float64)
    stripes[:, :, ::2] = -1.0  # as fine as can be: half the size has no pixels for them
    assert scale(stripes, each(device, 0.5))[:, :, 5:11].abs().max() < 1e-9
    ramp = torch.arange(16, device=device, dtype=torch.float64).expand(1, 1, 16, 16)
    y = scale(ramp, each(device, 0.5))[0, 0, 0]
    torch.testing.assert_close(y[5:11], 7.5 + 2 * (torch.arange(5, 11, device=device) - 7.5).double())
    torch.testing.assert_close(y, 15 - y.flip(0))
    assert y[0] > y[4]  # beyond the edge it goes back up


def test_cutout_blanks_a_rectangle_of_half_the_size(device):
    x = torch.ones(3, 2, 8, 12, device=device, dtype=torch.float64)
    y = transform("cutout").cut(x, each(device, 0.5, 0.0, -1.0), each(device, 0.5, 1.0, 0.5))
    inside = torch.zeros(8, 12, device=device, dtype=torch.bool)
    inside[2:6, 3:9] = True
    assert torch.equal(y[0, 0] == 0, inside)
    assert torch.equal(y[0, 1] == 0, inside)
    corner = torch.zeros(8, 12, device=device, dtype=torch.bool)
    corner[:2, 9:] = True
    assert torch.equal(y[1, 0] == 0, corner)
    assert torch.equal(y[2], x[2])
    assert (transform("cutout").augment(x.expand(3, 2, 8, 12), 1.0) == 0).flatten(1).any(1).all()
