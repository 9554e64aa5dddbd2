"""Images in, named numbers out: the scores of a generator against a data set, under one protocol."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fastgan.errors import MetricError
from fastgan.metrics import isc, kernel, manifold, periodic
from fastgan.metrics.confidence import frechet_distance_at_infinity, half_widths
from fastgan.metrics.extractor import Extractor
from fastgan.metrics.extractors import open_extractor
from fastgan.metrics.frechet import frechet_distance
from fastgan.metrics.moments import Moments
from fastgan.metrics.reference import ImageSet, Reference, make_reference
from fastgan.metrics.summary import BATCH, KEPT, OF_MOMENTS, Advance, Summary, check_count, summarise

Sample = Callable[[int, int], Tensor]
"""sample(start, n) -> the images of seeds start, ..., start + n - 1: uint8 [n, H, W, C]"""
METRICS = ("fid", "kid", "is", "prdc", "periodic")
DEFAULT_N = 10_000


class Evaluator:
    """The scores of images against one reference; call it as often as there are generators or checkpoints.

    `protocol` is what two numbers must share to be compared; `warnings` says where n is too small for a metric.
    confidence: keep what `intervals` needs. Raises MetricError for a metric that there is not, or that the reference or
    the extractor does not serve, MemoryLimitError for more images than fit.
    """

    def __init__(
        self,
        reference: Reference,
        extractor: Extractor,
        metrics: Sequence[str],
        n: int,
        *,
        confidence: bool = False,
    ) -> None:
        check_metrics(metrics)
        check_count(n)  # before training begins, of an evaluation at its end
        reference.check(extractor, metrics)
        self.metrics = tuple(dict.fromkeys(metrics))
        self.names = {metric: extractor.space(metric).removesuffix("-logits") for metric in self.metrics}
        self.extractor = extractor
        self.confidence = confidence
        self.n = n
        self.reference = reference.summary
        self.shape = tuple(reference.about["image_shape"])
        self.warnings = _warnings(self.metrics, n, self.reference.n)
        self.protocol: dict[str, Any] = {
            **reference.about,
            "generated_n": n,
            **_settings(self.metrics, n, self.reference.n),
        }

    def __call__(self, sample: Sample, *, advance: Advance | None = None) -> dict[str, float]:
        """The scores of n images of `sample`, seeds 0 to n - 1: `{"kid[effnet-lite0]": 0.012, ...}`."""
        return self.score(self.summarise(sample, advance=advance))

    def summarise(self, sample: Sample, *, advance: Advance | None = None) -> Summary:
        """What the scores need to know of n images of `sample`, for `score`."""
        batches = (
            self._checked(sample(start, min(BATCH, self.n - start))) for start in range(0, self.n, BATCH)
        )
        return summarise(
            batches,
            self.n,
            self.extractor,
            self.metrics,
            what="generated",
            every_feature=self.confidence,
            advance=advance,
        )

    def score(self, generated: Summary) -> dict[str, float]:
        """The scores of a summarised set."""
        scores: dict[str, float] = {}
        for metric in self.metrics:
            real, made = (self._at_hand(metric, side) for side in (self.reference, generated))
            values = _SCORES[metric](real, made)
            scores |= {f"{name}[{self.names[metric]}]": value for name, value in values.items()}
        return scores

    def intervals(self, generated: Summary) -> tuple[dict[str, float], dict[str, float]]:
        """Half-widths of 95 % intervals of the scores, and the fid of endlessly many images, where fid is asked for.

        For an evaluator that was made with `confidence`, which keeps the features for it.
        """
        widths = half_widths(self.score, generated)
        if "fid" not in self.metrics:
            return widths, {}
        space = self.extractor.space("fid")
        at_infinity = frechet_distance_at_infinity(self.reference.moments[space], generated.features[space])
        return widths, {f"fid_infinity[{self.names['fid']}]": at_infinity}

    def _at_hand(self, metric: str, side: Summary) -> Any:
        """Moments for fid and periodic; features for the others, on the extractor's device; None: no part."""
        space = self.extractor.space(metric)
        if metric in OF_MOMENTS:
            return side.moments[space]
        return side.features[space].to(self.extractor.device) if space in side.features else None

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

    metrics: of fid, kid, is, prdc, periodic. n: images to generate for each evaluation. extractor: a name or a file,
    None: the one that needs no download. advance(b): called as reference images are done. Raises MetricError.
    """
    check_metrics(metrics)
    network = open_extractor(extractor, device)
    return Evaluator(make_reference(dataset, network, metrics, advance=advance), network, metrics, n)


def check_metrics(metrics: Sequence[str], more: Sequence[str] = ()) -> None:
    """Raise MetricError for a name that is neither a metric nor in `more`, with those there are."""
    there_are = (*METRICS, *more)
    for metric in metrics:
        if metric not in there_are:
            raise MetricError(f"there is no metric {metric!r}: choose from {', '.join(there_are)}.")


def _fid(real: Moments, generated: Moments) -> dict[str, float]:
    return {"fid": frechet_distance(real, generated)}


def _kid(real: Tensor, generated: Tensor) -> dict[str, float]:
    distance = kernel.kernel_distance(real, generated)
    return {"kid": distance.mean, "kid_std": distance.std}


def _is(_real: None, generated: Tensor) -> dict[str, float]:
    score = isc.inception_score(generated)
    return {"is": score.mean, "is_std": score.std}


def _prdc(real: Tensor, generated: Tensor) -> dict[str, float]:
    scores = manifold.manifold_scores(real, generated)
    return {name: getattr(scores, name) for name in ("precision", "recall", "density", "coverage")}


def _periodic(real: Moments, generated: Moments) -> dict[str, float]:
    return {"periodic": periodic.periodic_artefacts(real.mean, generated.mean)}


_SCORES: Mapping[str, Callable[[Any, Any], dict[str, float]]] = {
    "fid": _fid,
    "kid": _kid,
    "is": _is,
    "prdc": _prdc,
    "periodic": _periodic,
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
        "periodic": {"window": periodic.WINDOW, "frequencies": "1/4, 1/2", "floor": periodic.FLOOR},
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
