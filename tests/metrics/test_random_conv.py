"""The extractor that nobody trained: its weights, its features against plain numpy, and what it ranks."""

import numpy as np
import pytest
import torch

from fastgan.metrics import evaluator, open_extractor
from fastgan.metrics.extractors import random_conv
from tests.metrics.sets import dataset, shapes

WEIGHTS = "7336b6c784683743aa503dd90674823bfab8adaa5eb6bfe0e0bfdd3c098e2694"
KID, COVERAGE = "kid[random-conv]", "coverage[random-conv]"


def test_its_weights_are_the_same_bits_on_every_machine() -> None:
    assert open_extractor("random-conv").weights_sha256 == WEIGHTS


def test_a_texture_answers_nothing_to_a_flat_area() -> None:
    for scale in random_conv.weights()[0]:
        assert scale.textures.double().sum((2, 3)).abs().max() < 1e-6
        assert scale.textures.std(0).min() > 0.1


def test_it_looks_at_each_image_alone() -> None:
    network, images = open_extractor("random-conv"), shapes(6)
    features = network(images)["random-conv"]
    assert features.shape == (6, 576)
    torch.testing.assert_close(open_extractor("random-conv")(images[2:4])["random-conv"], features[2:4])
    assert (features.std(0) > 0).float().mean() > 0.95


def convolved(x: np.ndarray, kernel: np.ndarray, mode: str) -> np.ndarray:
    """[c, h, w] with [out, c, 3, 3], the border padded, in float64."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))  # [c, h, w, 3, 3]
    return np.einsum("chwyx,ocyx->ohw", windows, kernel)


def test_its_features_are_those_of_the_definition() -> None:
    """Written down once more, in numpy and float64, for images of 64 px, which are not resized."""
    images = shapes(2, size=64)
    made = open_extractor("random-conv")(images)
    scales, head = random_conv.weights()
    for row, image in enumerate(images.numpy()):
        x, features = image.transpose(2, 0, 1) / 127.5 - 1, []
        for number, scale in enumerate(scales):
            if number:
                x = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
            textures = convolved(x, scale.textures.double().numpy(), "edge")
            colours = np.einsum("chw,oc->ohw", x, scale.colours.double().numpy()[:, :, 0, 0])
            both = np.concatenate([colours, textures])
            both = np.where(both < 0, 0.2 * both, both)
            mixed = np.maximum(convolved(both, scale.mixing.double().numpy(), "constant"), 0)
            half = x.shape[1] // 2
            quarters = mixed.reshape(len(mixed), 2, half, 2, half).mean((2, 4))
            features += [quarters.ravel(), np.sqrt((textures**2).mean((1, 2)))]
        expected = np.concatenate(features)
        np.testing.assert_allclose(made["random-conv"][row].numpy(), expected, rtol=1e-4, atol=1e-5)
        logits = expected @ head.double().numpy()
        np.testing.assert_allclose(made["random-conv-logits"][row].numpy(), logits, rtol=1e-4, atol=1e-5)


def test_images_of_other_sizes_are_brought_to_64_px_and_grey_is_a_colour() -> None:
    network, large = open_extractor("random-conv"), shapes(2, size=16).repeat_interleave(8, 1)
    large = large.repeat_interleave(8, 2)  # 128 px: halving it by means of 2x2 is exact
    small = large[:, ::2, ::2]
    assert network(small)["random-conv"].shape == (2, 576)
    grey = large[..., :1]
    for name, one in network(grey).items():
        torch.testing.assert_close(one, network(grey.expand(-1, -1, -1, 3))[name])


def blurred(x: torch.Tensor) -> torch.Tensor:
    planes = torch.nn.functional.avg_pool2d(x.permute(0, 3, 1, 2), 3, 1, 1, count_include_pad=False)
    return planes.permute(0, 2, 3, 1)


def noisy(x: torch.Tensor) -> torch.Tensor:
    return x + 16 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))


def posterised(x: torch.Tensor) -> torch.Tensor:
    return (x / 128).floor() * 128 + 64


def hue_shifted(x: torch.Tensor) -> torch.Tensor:
    return x.roll(1, 3) * 0.5 + x * 0.5 + torch.tensor([20.0, 0.0, -20.0])


@pytest.mark.parametrize("damage", [blurred, noisy, posterised, hue_shifted])
def test_damaged_images_score_worse_than_other_real_ones(damage) -> None:
    real, others = dataset(200, size=32), shapes(150, seed=1, size=32)
    evaluate = evaluator(real, ("kid", "fid", "prdc"), 150, "random-conv")
    bad = damage(others.float()).round().clamp(0, 255).to(torch.uint8)
    good, worse = (evaluate(lambda start, n, of=of: of[start : start + n]) for of in (others, bad))
    assert worse[KID] > 3 * abs(good[KID])
    assert worse["fid[random-conv]"] > 1.5 * good["fid[random-conv]"]
    assert worse[COVERAGE] < good[COVERAGE]
