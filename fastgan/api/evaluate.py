"""`fastgan.evaluate`: numbers for a generator or a folder of images, each with the protocol that made it."""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fastgan import allocator, arguments
from fastgan.api.call import long_call
from fastgan.api.card import Card
from fastgan.api.heard import Heard
from fastgan.api.sources import Model, source_of
from fastgan.callbacks import Callback, Job, as_one, told
from fastgan.errors import ConfigError
from fastgan.naming import named
from fastgan.progress import progress as bars

if TYPE_CHECKING:
    from fastgan.data import Dataset
    from fastgan.inference.runtime import Runtime

StrPath = str | os.PathLike[str]
METRICS = ("fid", "kid", "is", "prdc")
"""Those that are computed unless others are asked for"""
_MOST = 1 << 48


@long_call
def evaluate(
    source: Model,
    *,
    data: "StrPath | Dataset",
    metrics: str | Iterable[str] = METRICS,
    extractor: str = "effnet-lite0",
    n: int | None = None,
    seed: int = 0,
    truncation_psi: float = 1.0,
    split: str | None = None,
    device: str = "auto",
    batch: int | None = None,
    confidence: bool = False,
    baselines: bool = False,
    audit: bool = False,
    holdout: "StrPath | Dataset | None" = None,
    threshold: float | None = None,
    save_reference: StrPath | None = None,
    compare: StrPath | None = None,
    out: StrPath | None = None,
    overwrite: bool = False,
    callback: Callback | Iterable[Callback] | None = None,
    progress: bool = True,
) -> Card:
    """Score `source` against real images, as `fastgan eval` does.

    source: a `Run` or its folder, a checkpoint, a release, an exported .onnx, what `fastgan.load` opened, or a folder
    (or .fgd) of images of the real ones' size. data: the real images, by their path or as an open data set of the
    model's size, or the path of their statistics (.safetensors).
    metrics: names, or one text with commas: fid, kid, is, prdc (precision, recall, density and coverage), periodic
    (lattices), ifid, cas (need classes), ppl (needs styles), lpips-diversity. extractor: the network that makes
    features: a name, or an .onnx or TorchScript file. n: images to generate, at least 2; 10,000 by default, and all of
    a folder. seed: the first. truncation_psi: -2 to 2, as in `sample`. split: part of `data`: train, val, test or all.
    device: "auto", "cpu", "cuda" or "cuda:N". batch: images a run of the model.
    confidence: half-widths of 95 % intervals for other seeds, and fid at endless n (Chong & Forsyth 2020). baselines:
    score what people did before GANs as well. audit: look for copies of the real images, judged by `holdout`, real
    images not trained on, where they are given. threshold: give each image the class that it is this similar to
    (cosine), or none. save_reference: write the real images' statistics here. compare: a card of the same protocol,
    whose scores are shown beside.
    out: where the card is written as JSON, and beside it the picture of an audit's closest pairs; by default eval.json
    in the run where `source` is one or its folder, and nowhere else. overwrite: replace what is there and is no card.
    callback: is told how many images are done, as log(done, {"generated": done}) and alike for the reference and what
    is beside the scores, and then the scores. progress: show bars.

    Raises CheckpointError, DataError, MetricError, ConfigError or OutputError, before the work where that is possible.
    When it is interrupted, no card is written.
    """
    allocator.keep_memory()

    from fastgan.evaluation.scoring import Scoring, Wanted

    model = source_of(source, "source")
    target = _target(model, out)
    wanted = Wanted(
        data=_images(data, "data"),
        metrics=_names(metrics),
        extractor=arguments.text(extractor, "extractor"),
        n=None if n is None else arguments.whole_number(n, "n", 2, _MOST),
        seed=arguments.whole_number(seed, "seed", -_MOST, _MOST),
        truncation_psi=arguments.real_number(truncation_psi, "truncation_psi", -math.inf, math.inf),
        split=split,
        device=device,
        batch=batch,
        confidence=confidence,
        baselines=baselines,
        audit=audit,
        holdout=None if holdout is None else _images(holdout, "holdout"),
        threshold=_threshold(threshold),
        save_reference=_optional(save_reference, "save_reference"),
        compare=_optional(compare, "compare"),
        out=target,
        overwrite=overwrite,
    )
    scoring = Scoring(model, wanted)
    listener = as_one(callback)
    job = Job(work="evaluate", folder=None if target is None else target.parent, settings=vars(wanted))
    with told(listener, job) as results:
        with bars(progress) as shown:
            content = scoring.run(Heard(shown, listener))
        listener.log(content["protocol"]["generated_n"], content["scores"])
        results.update(scores=content["scores"], path=target)
    return Card(content, target, None if scoring.earlier is None else scoring.earlier["scores"])


def _target(model: "Path | Runtime", out: StrPath | None) -> Path | None:
    """Where the card goes."""
    if out is not None:
        return arguments.path(out, "out")
    return model / "eval.json" if isinstance(model, Path) and (model / "latest").is_file() else None


def _names(metrics: str | Iterable[str]) -> tuple[str, ...]:
    names = metrics.split(",") if isinstance(metrics, str) else arguments.several(metrics, "metrics")
    if not names:
        raise ConfigError(
            f"{named('metrics', metrics)} names no metric: give one or more of {', '.join(METRICS)}."
        )
    return tuple(arguments.text(name, "metrics").strip() for name in names)


def _images(given: "StrPath | Dataset", parameter: str) -> "Path | Dataset":
    from fastgan.data import Dataset

    return given if isinstance(given, Dataset) else arguments.path(given, parameter)


def _optional(path: StrPath | None, parameter: str) -> Path | None:
    return None if path is None else arguments.path(path, parameter)


def _threshold(threshold: float | None) -> float | None:
    return None if threshold is None else arguments.real_number(threshold, "threshold", -math.inf, math.inf)
