"""What the scores need to know of a set of images, gathered as the images stream by."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fastgan.brief import brief
from fastgan.errors import MetricError
from fastgan.machine import at_most, require_memory
from fastgan.metrics import periodic
from fastgan.metrics.checks import check_finite
from fastgan.metrics.extractor import Extractor
from fastgan.metrics.moments import Moments, Streaming

BATCH = 64
MOST = 100_000_000
"""Most images that are scored"""
KEPT = 50_000
"""Feature vectors that are kept one by one at most; moments are of all images."""
SEED = 2020
OF_MOMENTS = ("fid", "periodic")
"""Metrics that ask for moments; the others look at single feature vectors"""

Advance = Callable[[int], None]


class ImageSet(Protocol):
    """What is asked of a data set; `fastgan.data.Dataset` is one."""

    @property
    def images(self) -> Tensor:
        """uint8 [N, H, W, C]."""

    @property
    def content_hash(self) -> str:
        """Changes when any pixel does."""


@dataclass(frozen=True, eq=False)
class Summary:
    """A set of n images, as an extractor sees it."""

    __repr__ = brief

    n: int
    moments: Mapping[str, Moments]
    """Space -> its moments, for the Frechet distance and periodic artefacts"""
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

    Of more than KEPT images a random KEPT keep their features. every_feature: those of fid's space and of periodic's
    too. `what` names the set in messages; advance(b) is called after each batch. Raises MetricError for NaN or infinite
    features.
    """
    gathering = Gathering(n, extractor, metrics, what=what, every_feature=every_feature)
    for images in batches:
        gathering.add(images)
        if advance is not None:
            advance(len(images))
    return gathering.result()


class Gathering:
    """A `summarise` that can be put aside: `tensors` is all there is to it so far, and `resume` goes on from there.

    What it holds does not grow with the number of images beyond KEPT features.
    """

    def __init__(
        self, n: int, extractor: Extractor, metrics: Sequence[str], *, what: str, every_feature: bool = False
    ) -> None:
        check_count(n)
        self.extractor, self.what = extractor, what
        for_moments = {extractor.space(metric) for metric in metrics if metric in OF_MOMENTS}
        for_features = {
            extractor.space(metric) for metric in metrics if metric not in OF_MOMENTS or every_feature
        }
        self.streams = {space: Streaming() for space in for_moments}
        self.gathered: dict[str, list[Tensor]] = {space: [] for space in for_features}
        self.kept = kept_rows(n)
        self.done = 0

    def add(self, images: Tensor) -> None:
        """Take in the next images, uint8 [B, H, W, C]; MetricError for NaN or infinite features."""
        outputs = self._outputs(images)
        chosen = self.kept[self.done : self.done + len(images)]
        for space in self.streams.keys() | self.gathered.keys():
            features = outputs[space]
            check_finite(features, self.what)
            if space in self.streams:
                self.streams[space].add(features, self.what)
            if space in self.gathered:
                self.gathered[space].append(features[chosen.to(features.device)].float().cpu())
        self.done += len(images)

    def _outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Features by space; the network runs only where one of its spaces is asked for."""
        spaces = self.streams.keys() | self.gathered.keys()
        outputs = dict(self.extractor(images)) if spaces - {periodic.SPACE} else {}
        if periodic.SPACE in spaces:
            outputs[periodic.SPACE] = periodic.powers(images.to(self.extractor.device))
        return outputs

    def tensors(self) -> dict[str, Tensor]:
        """Everything after one `add` at least, by name, on the CPU."""
        held = {f"features.{space}": torch.cat(parts) for space, parts in self.gathered.items()}
        for space, stream in self.streams.items():
            held |= {f"mean.{space}": stream.mean.cpu(), f"scatter.{space}": stream.scatter.cpu()}
        return held | {"done": torch.tensor(self.done)}

    def resume(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` gave; KeyError where it is of other metrics."""
        device, done = self.extractor.device, int(tensors["done"])
        gathered = {space: [tensors[f"features.{space}"]] for space in self.gathered}
        moments = {
            space: [tensors[f"{kind}.{space}"].to(device) for kind in ("mean", "scatter")]
            for space in self.streams
        }
        for space, stream in self.streams.items():
            stream.n, (stream.mean, stream.scatter) = done, moments[space]
        self.gathered, self.done = gathered, done

    def result(self) -> Summary:
        """The summary of all that was added."""
        return Summary(
            n=self.done,
            moments={space: stream.result() for space, stream in self.streams.items()},
            features={space: torch.cat(parts) for space, parts in self.gathered.items()},
        )


def in_batches(images: Tensor, batch: int = BATCH, *, skip: int = 0) -> Iterable[Tensor]:
    """uint8 [N, H, W, C] piece by piece from image `skip` on, so that a memory map is read as it is used."""
    for start in range(skip, len(images), batch):
        yield images[start : start + batch]


def check_count(n: int) -> None:
    """Raise MetricError for more images than any score needs, MemoryLimitError where they cannot be kept track of."""
    if n > MOST:
        raise MetricError(
            f"scores of {n:,} images are more than anybody waits for: take at most {MOST:,}, and 50,000 are usual"
        )
    each = 9  # bytes of `kept_rows`
    require_memory(each * n, f"choosing among {n:,} images", f"take at most {at_most(each):,} of them")


def kept_rows(n: int) -> Tensor:
    """bool [n]: which of n images keep their features; all of them up to KEPT."""
    keep = torch.ones(n, dtype=torch.bool)
    if n > KEPT:
        dropped = torch.randperm(n, generator=torch.Generator().manual_seed(SEED))[KEPT:]
        keep[dropped] = False
    return keep
