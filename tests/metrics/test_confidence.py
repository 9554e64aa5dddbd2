"""Intervals that hold what they promise, and what people did before GANs."""

import numpy as np
import pytest
import torch

from fastgan.metrics import evaluator, frechet_distance, moments
from fastgan.metrics.baselines import BASELINES
from fastgan.metrics.confidence import frechet_distance_at_infinity, half_widths
from fastgan.metrics.summary import Summary
from tests.metrics.sets import dataset, shapes


def test_intervals_are_as_wide_as_the_spread_over_seeds() -> None:
    """A score that is a mean: its standard error is known, 1 / sqrt(n)."""
    random = torch.Generator().manual_seed(0)
    summary = Summary(900, {}, {"x": torch.randn(900, 1, generator=random)})
    widths = half_widths(lambda part: {"mean": float(part.features["x"].mean())}, summary)
    assert widths["mean"] == pytest.approx(1.96 / 30, rel=0.5)


def test_the_distance_at_infinity_has_less_bias() -> None:
    """Two sets of one distribution: the truth is 0, and few images say much more."""
    random = torch.Generator().manual_seed(0)
    real = moments.moments(torch.randn(20_000, 30, generator=random))
    generated = torch.randn(400, 30, generator=random)
    finite = frechet_distance(real, moments.moments(generated))
    assert finite > 0.4
    assert abs(frechet_distance_at_infinity(real, generated)) < finite / 4


def test_an_evaluator_gives_intervals_of_its_scores() -> None:
    from fastgan.metrics.evaluate import Evaluator
    from fastgan.metrics.extractors import open_extractor
    from fastgan.metrics.reference import make_reference

    network, metrics = open_extractor("random-conv"), ("fid", "kid", "is", "prdc")
    scorer = Evaluator(make_reference(dataset(80), network, metrics), network, metrics, 80, confidence=True)
    images = shapes(80, seed=1)
    generated = scorer.summarise(lambda start, n: images[start : start + n])
    widths, infinity = scorer.intervals(generated)
    scores = scorer.score(generated)
    assert set(widths) == set(scores)
    assert all(0 < widths[name] < 2 for name in ("kid[random-conv]", "precision[random-conv]"))
    assert infinity["fid_infinity[random-conv]"] < scores["fid[random-conv]"]


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_a_generator(name: str) -> None:
    if name == "mixture":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    images = shapes(120)
    sample = BASELINES[name](images)
    made = sample(0, 40)
    assert made.shape == (40, 16, 16, 3)
    assert made.dtype == torch.uint8
    assert torch.equal(sample(25, 5), made[25:30])  # image i depends on i alone
    assert len({image.numpy().tobytes() for image in made}) > 35
    gap = (made.float().mean((0, 1, 2)) - images.float().mean((0, 1, 2))).abs().max()
    assert gap < 15


def test_the_baselines_rank_as_they_look() -> None:
    """Pieces of 16 px images are next to noise; flipped and turned training images are nearly the real thing."""
    real = dataset(200)
    evaluate = evaluator(real, ("fid",), 150, "random-conv")
    scores = {
        name: evaluate(make(real.images))["fid[random-conv]"]
        for name, make in BASELINES.items()
        if name != "mixture"
    }
    assert scores["augmentation"] < scores["patches"]
    assert np.isfinite(list(scores.values())).all()
