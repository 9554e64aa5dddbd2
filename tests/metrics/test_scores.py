"""The scores against independent implementations, against closed forms, and on what cannot be scored."""

import math

import mpmath
import numpy as np
import pytest
import scipy.linalg
import torch

from fastgan.errors import MetricError
from fastgan.metrics import frechet_distance, inception_score, kernel_distance, manifold_scores
from fastgan.metrics.moments import Streaming, moments
from tests.metrics import oracles

SHAPES = {"full rank": (300, 24), "rank deficient": (24, 60)}


def correlated(n: int, d: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    """float64 [n, d] with a spectrum as features have it: few directions hold most of the variance."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    spectrum = torch.arange(1, d + 1, dtype=torch.float64) ** -0.7
    return torch.randn(n, d, generator=random, dtype=torch.float64) * spectrum @ mixing * scale + shift


@pytest.fixture(params=SHAPES)
def features(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor]:
    n, d = SHAPES[request.param]
    return correlated(n, d, 1), correlated(n, d, 2, shift=0.1, scale=1.2)


def exact_frechet_distance(real: torch.Tensor, generated: torch.Tensor) -> float:
    """The same in 40 decimal digits, from the singular values of the cross product."""

    def centred(features: torch.Tensor) -> tuple[mpmath.matrix, mpmath.matrix]:
        rows = mpmath.matrix(features.tolist())
        mean = mpmath.matrix([mpmath.fsum(rows[:, j]) / rows.rows for j in range(rows.cols)]).T
        for i in range(rows.rows):
            rows[i, :] -= mean
        return mean, rows / mpmath.sqrt(rows.rows - 1)

    with mpmath.workdps(40):
        (mean_r, r), (mean_g, g) = centred(real), centred(generated)
        overlap = mpmath.fsum(mpmath.svd_r(r * g.T, compute_uv=False))
        squares = [mpmath.fsum(x * x for x in part) for part in (mean_r - mean_g, r, g)]
        return float(mpmath.fsum(squares) - 2 * overlap)


@pytest.mark.parametrize(("n", "d"), [(20, 9), (8, 20)])
def test_frechet_distance_is_exact(n: int, d: int) -> None:
    """Full rank or not, to the last digits; the oracles below take a square root of rounding errors at n < d."""
    pair = correlated(n, d, 1), correlated(n, d, 2, shift=0.1, scale=1.2)
    exact = exact_frechet_distance(*pair)
    assert frechet_distance(*pair) == pytest.approx(exact, rel=1e-13)
    assert frechet_distance(*map(moments, pair)) == pytest.approx(exact, rel=1e-13)


def test_frechet_distance_is_torch_fidelitys(features) -> None:
    fid = oracles.torch_fidelity().metric_fid
    statistics = [fid.fid_features_to_statistics(part) for part in features]
    expected = fid.fid_statistics_to_metric(*statistics, verbose=False)[fid.KEY_METRIC_FID]
    assert frechet_distance(*features) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(*map(moments, features)) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_is_torchmetrics(features) -> None:
    module = oracles.torchmetrics_image()
    metric = module.fid.FrechetInceptionDistance(oracles.Given(features[0].shape[1])).set_dtype(torch.float64)
    for part, real in zip(features, (True, False), strict=True):
        metric.update(part, real=real)
    assert frechet_distance(*features) == pytest.approx(float(metric.compute()), rel=1e-6)


def test_frechet_distance_is_scipys(features) -> None:
    real, generated = (part.numpy() for part in features)
    root = scipy.linalg.sqrtm(np.cov(real.T) @ np.cov(generated.T))
    gap = real.mean(0) - generated.mean(0)
    expected = gap @ gap + np.trace(np.cov(real.T) + np.cov(generated.T) - 2 * root.real)
    assert frechet_distance(*features) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_normal_distributions_in_closed_form() -> None:
    """Commuting covariances: |m|^2 + sum (s_r - s_g)^2. The sets are whitened, so the moments are exact."""
    n, d = 400, 5
    white = torch.linalg.qr(correlated(n, d, 3) - correlated(n, d, 3).mean(0)).Q * (n - 1) ** 0.5
    scales = torch.tensor([0.0, 0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    distance = frechet_distance(white, white * scales + 2)
    assert distance == pytest.approx(4 * d + float(((1 - scales) ** 2).sum()), rel=1e-10)


@pytest.mark.parametrize(("n", "d"), SHAPES.values(), ids=SHAPES)
def test_frechet_distance_of_a_set_to_itself_is_zero(n: int, d: int) -> None:
    same = correlated(n, d, 1, shift=50)
    assert frechet_distance(same, same) == pytest.approx(0, abs=1e-9 * float(same.var(0).sum()))
    assert frechet_distance(moments(same), moments(same)) == pytest.approx(
        0, abs=1e-9 * float(same.var(0).sum())
    )


def test_frechet_distance_is_never_below_zero() -> None:
    for seed in range(8):  # rounding alone leaves -1e-14 for some of them
        same = torch.randn(50, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert frechet_distance(same, same) >= 0


def test_streamed_moments_are_those_of_the_whole() -> None:
    """Far from the origin, where a running sum of squares would lose its digits."""
    whole = correlated(500, 12, 4, shift=1e6)
    stream = Streaming()
    for part in whole.split([1, 0, 99, 250, 150]):
        stream.add(part)
    found = stream.result()
    torch.testing.assert_close(found.mean, whole.mean(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(found.covariance, whole.T.cov(), rtol=1e-9, atol=1e-9)


def test_kernel_distance_is_torch_fidelitys_subset_for_subset(features) -> None:
    kid = oracles.torch_fidelity().metric_kid
    expected = kid.kid_features_to_metric(
        features[1], features[0], kid_subsets=5, kid_subset_size=20, rng_seed=2020, verbose=False,
        kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1,
    )  # fmt: skip
    found = kernel_distance(*features, subsets=5, subset_size=20)
    assert found.mean == pytest.approx(expected[kid.KEY_METRIC_KID_MEAN], rel=1e-10)
    assert found.std == pytest.approx(expected[kid.KEY_METRIC_KID_STD], rel=1e-8)


def test_kernel_distance_is_torchmetrics(features) -> None:
    """With one subset of everything there is nothing random left."""
    n, d = features[0].shape
    metric = (
        oracles.torchmetrics_image()
        .kid.KernelInceptionDistance(oracles.Given(d), subsets=1, subset_size=n)
        .set_dtype(torch.float64)
    )
    for part, real in zip(features, (True, False), strict=True):
        metric.update(part, real=real)
    assert kernel_distance(*features, subsets=1, subset_size=n).mean == pytest.approx(
        float(metric.compute()[0]), rel=1e-4
    )


def test_kernel_distance_computed_by_subset_or_from_the_whole_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    features = correlated(90, 6, 1), correlated(70, 6, 2)
    whole = kernel_distance(*features, subsets=3, subset_size=30)
    monkeypatch.setattr("fastgan.metrics.kernel._WHOLE", 0)
    parts = kernel_distance(*features, subsets=3, subset_size=30)
    assert (parts.mean, parts.std) == pytest.approx((whole.mean, whole.std), rel=1e-9)


def test_kernel_distance_is_unbiased() -> None:
    """Between sets of one distribution its mean over many pairs is 0 within its standard error."""
    values = [
        kernel_distance(
            correlated(40, 4, 2 * i), correlated(40, 4, 2 * i + 1), subsets=1, subset_size=40
        ).mean
        for i in range(200)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values))


def test_inception_score_is_torch_fidelitys() -> None:
    isc = oracles.torch_fidelity().metric_isc
    logits = correlated(257, 30, 1).float()
    expected = isc.isc_features_to_metric(logits, splits=10, shuffle=True, rng_seed=2020)
    found = inception_score(logits)
    assert found.mean == pytest.approx(expected[isc.KEY_METRIC_ISC_MEAN], rel=1e-6)
    assert found.std == pytest.approx(expected[isc.KEY_METRIC_ISC_STD], rel=1e-6)


def test_inception_score_is_torchmetrics() -> None:
    logits = correlated(100, 30, 1)
    metric = (
        oracles.torchmetrics_image()
        .inception.InceptionScore(oracles.Given(30), splits=1)
        .set_dtype(torch.float64)
    )
    metric.update(logits)
    assert inception_score(logits, splits=1).mean == pytest.approx(float(metric.compute()[0]), rel=1e-6)


def test_inception_score_reaches_from_one_to_the_number_of_classes() -> None:
    certain = torch.eye(7).repeat(10, 1) * 100
    assert inception_score(certain, splits=1).mean == pytest.approx(7)
    unsure = torch.zeros(20, 7)
    unsure[:, 0] = torch.linspace(0, 1e-9, 20)
    assert inception_score(unsure, splits=1).mean == pytest.approx(1)


def test_precision_and_recall_are_torch_fidelitys(features) -> None:
    prc = oracles.torch_fidelity().metric_prc
    expected = prc.prc_features_to_metric(
        features[1], features[0], prc_neighborhood=3, prc_batch_size=64, save_cpu_ram=True, verbose=False
    )
    found = manifold_scores(*features)
    assert found.precision == pytest.approx(expected[prc.KEY_METRIC_PRECISION], rel=1e-4)
    assert found.recall == pytest.approx(expected[prc.KEY_METRIC_RECALL], rel=1e-4)


def test_manifold_scores_by_definition(features, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair looked at one by one, and in pieces that do not divide the sets."""
    real, generated = (part.numpy() for part in features)
    generated = generated[:-7]
    monkeypatch.setattr("fastgan.metrics.manifold._ROWS", 11)
    found = manifold_scores(features[0], features[1][:-7])

    def radii(points: np.ndarray, k: int) -> np.ndarray:
        return np.sort(np.linalg.norm(points[:, None] - points, axis=2), axis=1)[:, k]

    gap = np.linalg.norm(generated[:, None] - real, axis=2)
    assert found.precision == (gap <= radii(real, 3)).any(1).mean()
    assert found.recall == (gap <= radii(generated, 3)[:, None]).any(0).mean()
    assert found.density == pytest.approx((gap <= radii(real, 5)).sum() / 5 / len(generated))
    assert found.coverage == (gap <= radii(real, 5)).any(0).mean()


SCORES = {
    "frechet": frechet_distance,
    "kernel": kernel_distance,
    "inception": lambda real, generated: inception_score(generated),
    "manifold": manifold_scores,
}


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_what_cannot_be_scored_is_refused(score) -> None:
    good = correlated(30, 6, 1)
    for value in (torch.nan, torch.inf):
        bad = good.clone()
        bad[[3, 9], 2] = value
        with pytest.raises(
            MetricError, match=r"2 of 30 generated images have features that are NaN .* number 3"
        ):
            score(good, bad)
    with pytest.raises(MetricError, match="same for all 30 images"):
        score(good, good[:1].expand(30, 6))
    with pytest.raises(MetricError, match="1 generated images, and this metric needs"):
        score(good, good[:1])


def test_features_of_two_extractors_are_refused() -> None:
    for score in (frechet_distance, kernel_distance, manifold_scores):
        with pytest.raises(MetricError, match="different extractors"):
            score(correlated(30, 6, 1), correlated(30, 5, 1))
