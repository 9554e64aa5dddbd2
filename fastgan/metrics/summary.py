"""What the scores need to know of a set of images, gathered as the images stream by."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastgan.metrics.checks import check_finite
from fastgan.metrics.extractors import Extractor
from fastgan.metrics.moments import Moments, Streaming

BATCH = 64
KEPT = 50_000
"""Feature vectors that are kept one by one at most; moments are of all images."""
SEED = 2020

Advance = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Summary:
    """A set of n images, as an extractor sees it."""

    n: int
    moments: Mapping[str, Moments]
    """Space -> its moments, for the Frechet distance"""
    features: Mapping[str, Tensor]
    """Space -> float32 [min(n, KEPT), D], for the scores that look at single images"""


def summarise(
    batches: Iterable[Tensor],
    n: int,
    extractor: Extractor,
    metrics: Sequence[str],
    *,
    what: str,
    every_feature: bool = False,
    advance: Advance | None = None,
) -> Summary:
    """Run n images, uint8 [B, H, W, C] a batch, through `extractor` and gather what `metrics` need.

    Of more than KEPT images a random KEPT keep their features. every_feature: those of fid's space too. `what` names
    the set in messages; advance(b) is called after each batch. Raises MetricError for NaN or infinite features.
    """
    for_moments = {extractor.space(metric) for metric in metrics if metric == "fid"}
    for_features = {extractor.space(metric) for metric in metrics if metric != "fid" or every_feature}
    streams = {space: Streaming() for space in for_moments}
    gathered: dict[str, list[Tensor]] = {space: [] for space in for_features}
    kept = kept_rows(n)
    done = 0
    for images in batches:
        outputs = extractor(images)
        chosen = kept[done : done + len(images)]
        for space in for_moments | for_features:
            features = outputs[space]
            check_finite(features, what)
            if space in streams:
                streams[space].add(features, what)
            if space in gathered:
                gathered[space].append(features[chosen.to(features.device)].float().cpu())
        done += len(images)
        if advance is not None:
            advance(len(images))
    return Summary(
        n=done,
        moments={space: stream.result() for space, stream in streams.items()},
        features={space: torch.cat(parts) for space, parts in gathered.items()},
    )


def in_batches(images: Tensor, batch: int = BATCH) -> Iterable[Tensor]:
    """uint8 [N, H, W, C] piece by piece, so that a memory map is read as it is used."""
    for start in range(0, len(images), batch):
        yield images[start : start + batch]


def kept_rows(n: int) -> Tensor:
    """bool [n]: which of n images keep their features; all of them up to KEPT."""
    keep = torch.ones(n, dtype=torch.bool)
    if n > KEPT:
        dropped = torch.randperm(n, generator=torch.Generator().manual_seed(SEED))[KEPT:]
        keep[dropped] = False
    return keep
