"""Precision, recall, density and coverage: which part of one set lies in the other's neighbourhood.

The manifold of a set is taken to be the union of balls about its points, each reaching its k-th nearest neighbour.
- precision: share of generated points in the real manifold; recall: the other way round (Kynkaanniemi et al. 2019,
  eq. 1 and 2, k = 3);
- density: in how many real balls a generated point lies, over k; coverage: share of real balls that hold a
  generated point (Naeem et al. 2020, eq. 3 and 4, k = 5).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fastgan.metrics.checks import check_widths, checked

K_PRECISION = 3
K_DENSITY = 5
_ROWS = 1024  # distances are computed for so many points at a time


@dataclass(frozen=True)
class Manifold:
    """Each from 0 to 1, density to its n / k."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(
    real: Tensor, generated: Tensor, *, k_precision: int = K_PRECISION, k_density: int = K_DENSITY
) -> Manifold:
    """The four scores of features [N, D] (Euclidean distance, float64).

    Raises MetricError for no more images than the larger k and features that are NaN, infinite or all alike.
    """
    check_widths(real, generated)
    enough = max(k_precision, k_density) + 1
    real = checked(real, "real", at_least=enough)
    generated = checked(generated, "generated", at_least=enough)
    real_radii = _radii(real, (k_precision, k_density))
    generated_radii = _radii(generated, (k_precision,))[0]
    within_real = hits = 0
    within_generated = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    nearest = real.new_full((len(real),), torch.inf)  # each real point's distance to the generated set
    for start in range(0, len(generated), _ROWS):
        part = slice(start, start + _ROWS)
        distance = torch.cdist(generated[part], real)  # [rows, N]
        within_real += int((distance <= real_radii[0]).any(1).sum())
        hits += int((distance <= real_radii[1]).sum())
        within_generated |= (distance <= generated_radii[part, None]).any(0)
        nearest = torch.minimum(nearest, distance.amin(0))
    return Manifold(
        precision=within_real / len(generated),
        recall=int(within_generated.sum()) / len(real),
        density=hits / (k_density * len(generated)),
        coverage=int((nearest <= real_radii[1]).sum()) / len(real),
    )


def _radii(points: Tensor, ks: tuple[int, ...]) -> list[Tensor]:
    """For each k the distance of every point to its k-th nearest other one: [N] each."""
    found: list[list[Tensor]] = [[] for _ in ks]
    for start in range(0, len(points), _ROWS):
        distance = torch.cdist(points[start : start + _ROWS], points)
        nearest = distance.topk(max(ks) + 1, largest=False).values  # the first is the point itself
        for k, radii in zip(ks, found, strict=True):
            radii.append(nearest[:, k])
    return [torch.cat(radii) for radii in found]
