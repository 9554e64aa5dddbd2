"""The table of differences against the oracles in docs/metrics.md: `python -m tests.metrics.differences`."""

from collections.abc import Callable

import torch

from fastgan.metrics import frechet_distance, inception_score, kernel_distance, manifold_scores
from tests.metrics import oracles
from tests.metrics.test_scores import correlated

SHAPES = {"full rank": (2000, 112), "rank deficient": (200, 600)}


def by_torch_fidelity(real: torch.Tensor, generated: torch.Tensor) -> dict[str, float]:
    package = oracles.torch_fidelity()
    fid, kid, isc, prc = package.metric_fid, package.metric_kid, package.metric_isc, package.metric_prc
    size = min(1000, len(real) // 2)
    kernel = kid.kid_features_to_metric(
        generated, real, kid_subsets=100, kid_subset_size=size, rng_seed=2020, verbose=False, kid_kernel="poly",
        kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1,
    )  # fmt: skip
    found = prc.prc_features_to_metric(
        generated, real, prc_neighborhood=3, prc_batch_size=1000, save_cpu_ram=True, verbose=False
    )
    statistics = [fid.fid_features_to_statistics(part) for part in (real, generated)]
    return {
        "FID": fid.fid_statistics_to_metric(*statistics, verbose=False)[fid.KEY_METRIC_FID],
        "KID": kernel[kid.KEY_METRIC_KID_MEAN],
        "KID, spread": kernel[kid.KEY_METRIC_KID_STD],
        "IS": isc.isc_features_to_metric(generated, 10, True, 2020)[isc.KEY_METRIC_ISC_MEAN],
        "precision": found[prc.KEY_METRIC_PRECISION],
        "recall": found[prc.KEY_METRIC_RECALL],
    }


def by_torchmetrics(real: torch.Tensor, generated: torch.Tensor) -> dict[str, float]:
    module, given = oracles.torchmetrics_image(), oracles.Given(real.shape[1])
    fid = module.fid.FrechetInceptionDistance(given).set_dtype(torch.float64)
    kid = module.kid.KernelInceptionDistance(given, subsets=1, subset_size=len(real)).set_dtype(torch.float64)
    for metric in (fid, kid):
        metric.update(real, real=True)
        metric.update(generated, real=False)
    return {"FID": float(fid.compute()), "KID, one subset": float(kid.compute()[0])}


def ours(real: torch.Tensor, generated: torch.Tensor) -> dict[str, float]:
    kernel, manifold = kernel_distance(real, generated), manifold_scores(real, generated)
    return {
        "FID": frechet_distance(real, generated),
        "KID": kernel.mean,
        "KID, spread": kernel.std,
        "KID, one subset": kernel_distance(real, generated, subsets=1, subset_size=len(real)).mean,
        "IS": inception_score(generated).mean,
        "precision": manifold.precision,
        "recall": manifold.recall,
    }


def main() -> None:
    print("| score | features | ours | torch-fidelity | torchmetrics |")
    print("| --- | --- | --- | --- | --- |")
    for shape, (n, d) in SHAPES.items():
        pair = correlated(n, d, 1), correlated(n, d, 2, shift=0.05, scale=1.1)
        mine = ours(*pair)
        theirs: list[Callable] = [by_torch_fidelity, by_torchmetrics]
        found = [oracle(*pair) for oracle in theirs]
        for name, value in mine.items():
            cells = [f"{abs(each[name] / value - 1):.0e}" if name in each else "" for each in found]
            print(f"| {name} | {n:,} x {d:,}, {shape} | {value:.6g} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
