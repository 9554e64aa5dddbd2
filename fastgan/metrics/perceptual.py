"""How different do two images look? A distance over the feature maps of a frozen network.

Zhang et al. (2018, eq. 1) with all channel weights one: at each tap the features of a pixel are scaled to unit length,
squared differences are summed over channels, averaged over pixels, and summed over the taps. Their weights, fitted to
people's judgements, ship in no package: this is LPIPS in form, not in its numbers, and its name says so.
"""

from torch import Tensor

from fastgan.errors import MetricError
from fastgan.metrics.extractor import Extractor
from fastgan.naming import named


def perceptual_distance(extractor: Extractor, a: Tensor, b: Tensor) -> Tensor:
    """Distances float64 [N] of images a and b, [N, H, W, C] in 0..255, uint8 or float.

    Raises MetricError for an extractor without taps.
    """
    return sum(
        (
            (x - y).double().square().sum(1).mean((1, 2))
            for x, y in zip(_maps(extractor, a), _maps(extractor, b), strict=True)
        ),
        start=a.new_zeros(len(a)).double().to(extractor.device),
    )


def space(extractor: Extractor) -> str:
    """What names of numbers call this distance; MetricError where there is none."""
    if extractor.taps is None:
        raise MetricError(
            f"the extractor {extractor.name} shows no feature maps, which ppl and lpips-diversity compare: "
            f"leave them out of {named('metrics')}, or take {named('extractor', 'effnet-lite0')}."
        )
    return f"{extractor.name}-taps"


def _maps(extractor: Extractor, images: Tensor) -> list[Tensor]:
    space(extractor)
    maps = extractor.feature_maps(images)
    # Where nothing fires there is no direction: the small number makes it the zero vector.
    return [x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in maps]


def diversity(extractor: Extractor, images: Tensor, labels: Tensor | None = None) -> float:
    """Mean distance of pairs of images uint8 [N, H, W, C], each image in one pair; within classes where labelled.

    Raises MetricError where no two images make a pair.
    """
    order = range(len(images)) if labels is None else labels.argsort(stable=True).tolist()
    pairs: list[tuple[int, int]] = []
    waiting: int | None = None
    for row in order:
        if waiting is not None and (labels is None or labels[waiting] == labels[row]):
            pairs.append((waiting, row))
            waiting = None
        else:
            waiting = row
    if not pairs:
        raise MetricError(f"lpips-diversity needs two images of a class at least: raise {named('n')}.")
    total = 0.0
    for start in range(0, len(pairs), _BATCH):
        a, b = (images[[pair[side] for pair in pairs[start : start + _BATCH]]] for side in (0, 1))
        total += float(perceptual_distance(extractor, a, b).sum())
    return total / len(pairs)


_BATCH = 32
