"""The score of periodic artefacts: its power spectrum against a plain sum, and what it says of lattices."""

import numpy as np
import pytest
import torch

from fastgan.metrics import evaluator, periodic
from fastgan.metrics import reference as references
from fastgan.metrics.extractor import Extractor
from fastgan.metrics.extractors import open_extractor
from tests.metrics.sets import dataset, shapes

NAME = "periodic[pixels]"


def by_definition(image: np.ndarray) -> list[float]:
    """Image [H, W, 3]: the sum over all pixels, for one frequency after the other."""
    height, width, _ = image.shape
    y, x = np.mgrid[:height, :width]
    window = np.sin(np.pi * (y + 0.5) / height) ** 2 * np.sin(np.pi * (x + 0.5) / width) ** 2
    found = []
    for f, g in periodic.FREQUENCIES:
        wave = np.exp(-2j * np.pi * (f / 4 * y + g / 4 * x))
        power = 0.0
        for channel in range(3):
            plane = image[..., channel].astype(np.float64)
            plane = plane - (window * plane).sum() / window.sum()
            power += abs((window * plane * wave).sum()) ** 2 / (window**2).sum() / 3
        found.append(power)
    return found


@pytest.mark.parametrize("size", [(16, 16), (10, 13), (7, 4)])
def test_powers_are_those_of_the_definition_at_any_size(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, *size, 3), dtype=np.uint8)
    expected = [by_definition(image) for image in images]
    np.testing.assert_allclose(periodic.powers(torch.from_numpy(images)).numpy(), expected, rtol=1e-9)


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    noise = torch.randint(100, 110, (4000, 8, 8, 3), generator=torch.Generator().manual_seed(0))
    mean = periodic.powers(noise.to(torch.uint8)).mean(0)
    torch.testing.assert_close(mean, torch.full((9,), 99 / 12, dtype=torch.float64), rtol=0.1, atol=0)


def test_a_flat_image_has_no_power_and_grey_and_transparent_images_count_as_they_look() -> None:
    assert periodic.powers(torch.full((1, 9, 9, 3), 200, dtype=torch.uint8)).abs().max() < 1e-18
    grey = shapes(2, channels=1)
    torch.testing.assert_close(periodic.powers(grey), periodic.powers(grey.expand(-1, -1, -1, 3)))
    clear = torch.cat([shapes(2), torch.zeros(2, 16, 16, 1, dtype=torch.uint8)], 3)
    assert periodic.powers(clear).abs().max() < 1e-18  # white


def lattice(images: torch.Tensor, strength: float, period: int, axis: int | None) -> torch.Tensor:
    """A pattern that changes its sign every period / 2 pixels along one axis, or along both (None)."""
    line = 1 - 2 * (torch.arange(images.shape[1]) % period < period // 2).float()
    pattern = {0: line[:, None], 1: line[None, :], None: torch.outer(line, line)}[axis]
    made = images.float() + strength * pattern[None, :, :, None]
    return made.round().clamp(0, 255).to(torch.uint8)


def score(real: torch.Tensor, made: torch.Tensor) -> float:
    return periodic.periodic_artefacts(periodic.powers(real).mean(0), periodic.powers(made).mean(0))


@pytest.mark.parametrize("period", [2, 4])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_a_lattice_of_either_period_along_either_axis_is_found(period: int, axis: int | None) -> None:
    real, others = shapes(1000, size=32), shapes(1000, seed=1, size=32)
    honest = score(real, others)
    weak, strong = (score(real, lattice(others, strength, period, axis)) for strength in (10, 40))
    assert 0.9 < honest < 1.4
    assert 1.5 * honest < weak < strong / 5
    assert score(real, others // 8 * 8 + 4) < 2  # posterised: wrong, and no lattice
    assert score(real, torch.full_like(others, 99)) < 1e-9


def test_a_checkerboard_on_smooth_images_scores_thousands() -> None:
    ramp = torch.linspace(50, 150, 32).round().expand(8, 32, 32)[..., None].expand(-1, -1, -1, 3)
    assert score(ramp.to(torch.uint8), lattice(ramp, 4, 2, None)) > 1000


def test_real_images_without_power_count_as_rounded_ones() -> None:
    flat, made = torch.zeros(9, dtype=torch.float64), torch.full((9,), 1.0, dtype=torch.float64)
    assert periodic.periodic_artefacts(flat, made) == pytest.approx(12)


def test_an_evaluator_gives_it_beside_other_scores_and_keeps_the_real_side() -> None:
    real, fake = dataset(70), shapes(80, seed=1)
    expected = score(real.images, fake)
    both = evaluator(real, ("kid", "periodic"), 80, "random-conv")
    scores = both(lambda start, n: fake[start : start + n])
    assert set(scores) == {"kid[random-conv]", "kid_std[random-conv]", NAME}
    assert scores[NAME] == pytest.approx(expected, rel=1e-9)
    assert both.protocol["periodic"] == {"window": "hann", "frequencies": "1/4, 1/2", "floor": 1 / 12}
    network = open_extractor("random-conv")
    path = references.cached_path(real, network, ("kid", "periodic"))
    assert set(references.read(path).summary.moments) == {"pixels"}


def test_alone_it_runs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = dataset(70), shapes(80, seed=1)
    monkeypatch.setattr(Extractor, "__call__", lambda *_: pytest.fail("ran the network"))
    alone = evaluator(real, ("periodic",), 80, "random-conv")
    assert alone(lambda start, n: fake[start : start + n]) == {NAME: pytest.approx(score(real.images, fake))}
