"""What an evaluation can find out beside the scores, each as JSON for the card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from fastgan.data import Dataset
    from fastgan.metrics.evaluate import Evaluator, Sample
    from fastgan.metrics.extractor import Extractor
    from fastgan.metrics.summary import Summary

    Bar = Callable[[str, int], Callable[[int], None]]

AUDITED = 5000  # generated images at most that are looked at one by one


def confidence(scorer: Evaluator, generated: Summary) -> dict[str, dict[str, float]]:
    """The half-widths of 95 % intervals, and the extrapolated fid."""
    widths, infinity = scorer.intervals(generated)
    return {"confidence": widths, "infinity": infinity}


def baselines(scorer: Evaluator, real: Dataset, bar: Bar) -> dict[str, dict[str, float]]:
    """The same scores for what people did before GANs."""
    from fastgan.errors import MetricError
    from fastgan.metrics.baselines import BASELINES

    found = {}
    for name, make in BASELINES.items():
        try:
            sample = make(real.images)
        except MetricError:  # scikit-learn is not there; the others need nothing
            continue
        found[name] = scorer(sample, advance=bar(name, scorer.n))
    return found


class Features:
    """Features and images of both sides, row by row: what looks at single images needs them."""

    def __init__(self, network: Extractor, real: Dataset, sample: Sample, n: int, bar: Bar) -> None:
        import torch

        from fastgan.metrics.reference import make_reference
        from fastgan.metrics.summary import BATCH, kept_rows

        self.network, self.space, self.bar = network, network.space("kid"), bar
        rows = kept_rows(len(real.images))
        reference = make_reference(real, network, ("kid",), advance=bar("training", len(real.images)))
        self.train = reference.summary.features[self.space]
        # All of a set that fits keeps its place: a memory map stays one.
        self.train_images = real.images if bool(rows.all()) else real.images[rows]
        self.labels = None if real.labels is None else real.labels[rows]
        self.class_names = real.class_names
        self._rows, self._names = rows.nonzero().flatten(), real.names
        count = min(n, AUDITED)
        starts = range(0, count, BATCH)
        self.images = torch.cat(
            [torch.as_tensor(sample(start, min(BATCH, count - start))) for start in starts]
        )
        self.generated = self.of(self.images, "audited")

    def called(self, row: int) -> str:
        """The name of a training image inside its source, or its number where the set has no names."""
        number = int(self._rows[row])
        return self._names[number] if self._names else f"image {number}"

    def of(self, images: Tensor, what: str) -> Tensor:
        """Features of other images, float32 [N, D]."""
        from fastgan.metrics.summary import in_batches, summarise

        return summarise(
            in_batches(images),
            len(images),
            self.network,
            ("kid",),
            what=what,
            advance=self.bar(what, len(images)),
        ).features[self.space]


def trained_in(source: Path, extractor: str) -> list[str]:
    """A warning where the run or checkpoint `source` was trained against the very features that `extractor` gives."""
    from fastgan.errors import CheckpointError
    from fastgan.training import checkpoint

    try:
        features = checkpoint.read_state(checkpoint.locate(source)).get("features")
    except CheckpointError:  # a release, an .onnx or a folder does not say
        return []
    if not features or features["name"] != extractor:
        return []
    return [
        f"the discriminator of {source.name} was trained on {extractor}, whose numbers flatter it: compare it with "
        "other models by another extractor."
    ]


def picture(card: Path) -> Path:
    """Where `audit` draws the closest pairs: beside the card."""
    return card.with_name(f"{card.stem}-closest.png")


def missing(*datasets: Dataset | None) -> list[str]:
    """A warning for each set that lacks most of what its source holds."""
    from fastgan.data import passed_over

    return [
        f"{found.provenance['source']}: {text}"
        for found in datasets
        if found is not None
        for text in passed_over.warnings(found.notes)
    ]


def audit(
    own: Features, held_out: Dataset | None, card: Path | None, called: Callable[[int], str]
) -> dict[str, Any]:
    """The verdict, the copies by number, and a picture of the closest pairs beside `card`, where there is to be one.

    called: the name of each generated image, by its number among those.
    """
    from fastgan.metrics.memorisation import ALPHA, NEIGHBOURS
    from fastgan.metrics.memorisation import audit as compare
    from fastgan.metrics.pairs import Names, closest, write_pairs

    others = None if held_out is None else (own.of(held_out.images, "held out"), held_out.images)
    found = compare((own.train, own.train_images), (own.generated, own.images), others)
    names = Names(generated=called, train=own.called)
    drawn = None if card is None else picture(card)
    if drawn is not None:
        write_pairs(drawn, found, own.images, own.train_images, names)
    where = "" if drawn is None else f"; {drawn}"
    judged = (
        f"{found.held_out:,} held-out images" if found.held_out else "each training image against the others"
    )
    return {
        "sentence": f"audit[{own.space}]: {found.verdict} (p = {found.p_value:.2g}); judged by {judged}{where}",
        "p_value": found.p_value,
        "copies": found.copies.tolist(),
        "closest": closest(found, names),
        "audited": len(own.images),
        "expected_by_chance": found.expected,
        "held_out": found.held_out,
        "duplicates_in_training": found.duplicates,
        "alpha": ALPHA,
        "neighbours": NEIGHBOURS,
    }


def similarity(own: Features, threshold: float, meant: list[str] | None) -> dict[str, Any]:
    """How many generated images resemble which class, how many none, and how many the class they were `meant` for."""
    import torch

    from fastgan.metrics.similarity import NONE, classify

    assert own.labels is not None  # open_real saw to that
    found = classify(own.train, own.labels, own.generated, threshold=threshold)
    names = own.class_names
    counts = {name: int((found.classes == index).sum()) for index, name in enumerate(names)}
    none = int((found.classes == NONE).sum())
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    agreement = None
    if meant is not None and none < len(found.classes) and set(meant) <= set(names):
        agreement = found.agreement(torch.tensor([names.index(name) for name in meant]))
        listed += f"; {agreement:.1%} of those with a class are of the class they were made for"
    return {
        "sentence": f"similarity[{own.space}] of at least {threshold:g}: none {none}, {listed}",
        "agreement": agreement,
        "threshold": threshold,
        "classes": counts,
        "none": none,
        "mean_similarity": float(found.similarity.mean()),
    }
