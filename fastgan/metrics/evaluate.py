"""Images in, named numbers out: the scores of a generator against a data set, under one protocol."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fastgan.errors import MetricError
from fastgan.metrics import isc, kernel, manifold
from fastgan.metrics.extractors import Extractor, open_extractor
from fastgan.metrics.frechet import frechet_distance
from fastgan.metrics.reference import USES_REFERENCE, ImageSet, identity, reference_summary
from fastgan.metrics.summary import BATCH, KEPT, Advance, Summary, summarise

Sample = Callable[[int, int], Tensor]
"""sample(start, n) -> the images of seeds start, ..., start + n - 1: uint8 [n, H, W, C]"""
METRICS = ("fid", "kid", "is", "prdc")
DEFAULT_N = 10_000


class Evaluator:
    """The scores of images against one data set; call it as often as there are generators or checkpoints.

    The reference side is computed when it is made (or read from the cache). `protocol` is what two numbers must share
    to be compared; `warnings` says where n is too small for a metric.
    """

    def __init__(
        self,
        dataset: ImageSet,
        extractor: Extractor,
        metrics: Sequence[str],
        n: int,
        *,
        advance: Advance | None = None,
    ) -> None:
        for metric in metrics:
            if metric not in METRICS:
                raise MetricError(f"there is no metric {metric!r}: choose from {', '.join(METRICS)}.")
        self.metrics = tuple(dict.fromkeys(metrics))
        self.names = {metric: extractor.space(metric).removesuffix("-logits") for metric in self.metrics}
        self.extractor = extractor
        self.n = n
        self.shape = tuple(dataset.images.shape[1:])
        self.warnings = _warnings(self.metrics, n, len(dataset.images))
        self.protocol: dict[str, Any] = {
            **identity(dataset, extractor),
            "generated_n": n,
            **_settings(self.metrics, n, len(dataset.images)),
        }
        self.reference = (
            reference_summary(dataset, extractor, self.metrics, advance=advance)
            if set(self.metrics) & set(USES_REFERENCE)
            else None
        )

    def __call__(self, sample: Sample, *, advance: Advance | None = None) -> dict[str, float]:
        """The scores of n images of `sample`, seeds 0 to n - 1: `{"kid[effnet-lite0]": 0.012, ...}`."""
        batches = (
            self._checked(sample(start, min(BATCH, self.n - start))) for start in range(0, self.n, BATCH)
        )
        return self.score(batches, advance=advance)

    def score(self, batches: Iterable[Tensor], *, advance: Advance | None = None) -> dict[str, float]:
        """The scores of n images that come in batches, uint8 [B, H, W, C]."""
        generated = summarise(
            batches, self.n, self.extractor, self.metrics, what="generated", advance=advance
        )
        return self.compare(generated)

    def compare(self, generated: Summary) -> dict[str, float]:
        """The scores of a set that is summarised already."""
        scores: dict[str, float] = {}
        for metric in self.metrics:
            values = _SCORES[metric](self.extractor.space(metric), self.reference, generated)
            scores |= {f"{name}[{self.names[metric]}]": value for name, value in values.items()}
        return scores

    def _checked(self, images: Tensor) -> Tensor:
        images = torch.as_tensor(images)
        if tuple(images.shape[1:]) != self.shape or images.dtype != torch.uint8:
            raise MetricError(
                f"the generated images are {images.dtype} {[*images.shape[1:]]} and the real ones uint8 "
                f"{[*self.shape]}: resize one of them on purpose, with fastgan data pack --size."
            )
        return images


def evaluator(
    dataset: ImageSet,
    metrics: Sequence[str] = ("kid",),
    n: int = DEFAULT_N,
    extractor: str | None = None,
    device: str | torch.device = "cpu",
    *,
    advance: Advance | None = None,
) -> Evaluator:
    """A function sample -> {name: value} that scores generated images against all of `dataset`.

    metrics: of fid, kid, is, prdc. n: images to generate for each evaluation. extractor: a name or a file, None: the
    one that needs no download. advance(b): called as reference images are done. Raises MetricError.
    """
    return Evaluator(dataset, open_extractor(extractor, device), metrics, n, advance=advance)


def _fid(space: str, real: Summary | None, generated: Summary) -> dict[str, float]:
    assert real is not None
    return {"fid": frechet_distance(real.moments[space], generated.moments[space])}


def _kid(space: str, real: Summary | None, generated: Summary) -> dict[str, float]:
    assert real is not None
    distance = kernel.kernel_distance(real.features[space], generated.features[space])
    return {"kid": distance.mean, "kid_std": distance.std}


def _is(space: str, _real: Summary | None, generated: Summary) -> dict[str, float]:
    score = isc.inception_score(generated.features[space])
    return {"is": score.mean, "is_std": score.std}


def _prdc(space: str, real: Summary | None, generated: Summary) -> dict[str, float]:
    assert real is not None
    scores = manifold.manifold_scores(real.features[space], generated.features[space])
    return {name: getattr(scores, name) for name in ("precision", "recall", "density", "coverage")}


_SCORES: Mapping[str, Callable[[str, Summary | None, Summary], dict[str, float]]] = {
    "fid": _fid,
    "kid": _kid,
    "is": _is,
    "prdc": _prdc,
}


def _settings(metrics: Sequence[str], n: int, n_real: int) -> dict[str, Any]:
    """What each metric's own definition leaves open."""
    settings: dict[str, Any] = {
        "kid": {
            "degree": 3,
            "subsets": kernel.SUBSETS,
            "subset_size": kernel.fitting(n, n_real),
            "seed": kernel.SEED,
        },
        "is": {"splits": isc.SPLITS, "seed": isc.SEED},
        "prdc": {"k_precision": manifold.K_PRECISION, "k_density": manifold.K_DENSITY, "kept": KEPT},
    }
    return {metric: settings[metric] for metric in metrics if metric in settings}


def _warnings(metrics: Sequence[str], n: int, n_real: int) -> list[str]:
    """Sentences about metrics that are not to be trusted with so few images."""
    said = []
    if "fid" in metrics and min(n, n_real) < 5000:
        said.append(
            f"fid of {n:,} images against {n_real:,} is biased upwards: compare it only at the same numbers, and "
            "look at kid, which is not."
        )
    if "is" in metrics and n < 5000:
        said.append(f"is of {n:,} images is biased downwards; 50,000 are usual.")
    if "kid" in metrics and min(n, n_real) < kernel.SUBSET_SIZE:
        said.append(
            f"kid takes subsets of {kernel.fitting(n, n_real)} images, not {kernel.SUBSET_SIZE:,}: its spread is wider."
        )
    return said
