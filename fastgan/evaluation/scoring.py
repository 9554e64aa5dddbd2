"""One evaluation from beginning to end: everything opened and checked, then images scored, then a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fastgan.device import choose
from fastgan.evaluation import extra_scores, findings
from fastgan.evaluation.sources import called, open_folder, open_held_out, open_model, open_real
from fastgan.files import check_output
from fastgan.metrics import card, open_extractor, reference
from fastgan.metrics.evaluate import DEFAULT_N, Evaluator
from fastgan.version import __version__

if TYPE_CHECKING:
    from fastgan.data import Dataset
    from fastgan.evaluation.samples import Samples
    from fastgan.inference.runtime import Runtime
    from fastgan.metrics.reference import Reference
    from fastgan.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to find out, against what; `fastgan.evaluate` says what each field means."""

    data: Path | Dataset
    metrics: Sequence[str]
    extractor: str
    n: int | None
    seed: int
    truncation_psi: float
    split: str | None
    device: str
    batch: int | None
    confidence: bool
    baselines: bool
    audit: bool
    holdout: Path | Dataset | None
    threshold: float | None
    save_reference: Path | None
    compare: Path | None
    out: Path | None
    """Where the card goes; None: it is not written."""
    overwrite: bool


class Scoring:
    """An evaluation that is ready to run.

    Made, it has opened and checked everything, so that a mistake is said before the hours that the work may take.
    Raises CheckpointError, DataError, MetricError, ConfigError or OutputError.
    """

    def __init__(self, source: Path | Runtime, wanted: Wanted) -> None:
        self.wanted = wanted
        self._names, self._others = extra_scores.split(wanted.metrics)
        self.earlier = card.read(wanted.compare) if wanted.compare else None
        self._model = open_model(
            source,
            device=wanted.device,
            batch=wanted.batch,
            truncation=wanted.truncation_psi,
            seed=wanted.seed,
        )
        self._path = source if isinstance(source, Path) else Path(source.facts.source)
        labels = wanted.threshold is not None
        self._real, self._shared = open_real(
            wanted.data,
            self._model,
            split=wanted.split,
            labels=labels,
            images=wanted.audit or wanted.baselines or labels or extra_scores.looks_at_real(self._others),
        )
        self._held_out = open_held_out(
            wanted.holdout, self._real, asked=wanted.audit or "cas" in self._others
        )
        self._check_outputs()
        self._network = open_extractor(wanted.extractor, choose(wanted.device))
        extra_scores.check(self._others, called(wanted.data), self._real, self._model, self._network)

    def run(self, shown: Progress) -> dict[str, Any]:
        """Score, and write what is to be written; returns the content of the card (`fastgan.metrics.card`)."""
        wanted = self.wanted
        shared = self._reference(shown)
        resolution, _, channels = shared.about["image_shape"]
        images = self._model or open_folder(self._path, resolution, channels)
        n = images.count(DEFAULT_N if wanted.n is None else wanted.n, asked=wanted.n is not None)
        scorer = Evaluator(shared, self._network, self._names, n, confidence=wanted.confidence)
        scorer.protocol["truncation"] = wanted.truncation_psi
        if not self._others:
            self._check_alike(scorer)
        if wanted.save_reference is not None:
            reference.write(wanted.save_reference, shared)
        scores, more = self._scores(images, scorer, shown)
        more |= self._findings(images, scorer, shown)
        made = card.card(
            scores,
            scorer.protocol,
            images.about(wanted.seed, n),
            {"fastgan": __version__, "torch": torch.__version__},
            self._warnings(images, scorer),
            **more,
        )
        if wanted.out is not None:
            card.write(wanted.out, made)
        return made

    def _check_outputs(self) -> None:
        """OutputError for what may not be written."""
        wanted = self.wanted
        given = (self._path, wanted.data, wanted.holdout)
        sources = [path for path in given if isinstance(path, Path)]
        if wanted.out is not None:
            earlier = wanted.out.exists()
            check_output(wanted.out, overwrite=wanted.overwrite, sources=sources, replaces=card.MARK)
            if wanted.audit:
                drawn = findings.picture(wanted.out)
                check_output(drawn, overwrite=wanted.overwrite or earlier, sources=sources)
            sources = [*sources, wanted.out]
        if wanted.save_reference is not None:
            check_output(wanted.save_reference, overwrite=wanted.overwrite, sources=sources)

    def _reference(self, shown: Progress) -> Reference:
        """The real images as the extractor sees them."""
        if self._shared is not None:
            return self._shared
        assert self._real is not None  # `open_real` gives one of the two
        advance = shown.bar("reference", len(self._real))
        return reference.make_reference(self._real, self._network, self._names, advance=advance)

    def _scores(
        self, images: Samples, scorer: Evaluator, shown: Progress
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """The scores, and their confidence where it is asked for."""
        scores: dict[str, float] = {}
        more: dict[str, Any] = {}
        seed = self.wanted.seed
        if self._names:
            advance = shown.bar("generated", scorer.n)
            generated = scorer.summarise(lambda start, n: images.sample(seed + start, n), advance=advance)
            scores = scorer.score(generated)
            if scorer.confidence:
                more = findings.confidence(scorer, generated)
        if self._others:
            sources = extra_scores.Sources(images, self._real, self._held_out, seed, scorer.n)
            scores |= extra_scores.score(self._others, self._network, sources, shown.bar, scorer.protocol)
            self._check_alike(scorer)  # their protocol is known only now
        return scores, more

    def _check_alike(self, scorer: Evaluator) -> None:
        """MetricError where the card to compare with is of another protocol."""
        if self.earlier is not None and self.wanted.compare is not None:
            card.check_alike(scorer.protocol, self.earlier["protocol"], self.wanted.compare)

    def _findings(self, images: Samples, scorer: Evaluator, shown: Progress) -> dict[str, Any]:
        """What was asked for beside the scores."""
        wanted, real = self.wanted, self._real
        found: dict[str, Any] = {}
        if real is None:
            return found
        if wanted.baselines:
            found["baselines"] = findings.baselines(scorer, real, shown.bar)
        if not wanted.audit and wanted.threshold is None:
            return found
        seed = wanted.seed
        own = findings.Features(
            self._network, real, lambda start, n: images.sample(seed + start, n), scorer.n, shown.bar
        )
        if wanted.audit:
            found["audit"] = findings.audit(
                own, self._held_out, wanted.out, lambda k: images.called(seed + k)
            )
        if wanted.threshold is not None:
            meant = images.classes(seed, len(own.images))
            found["similarity"] = findings.similarity(own, wanted.threshold, meant)
        return found

    def _warnings(self, images: Samples, scorer: Evaluator) -> list[str]:
        return [
            *scorer.warnings,
            *findings.trained_in(self._path, self._network.name),
            *findings.missing(self._real, self._held_out, getattr(images, "dataset", None)),
        ]
