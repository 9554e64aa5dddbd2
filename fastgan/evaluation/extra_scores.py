"""The scores that need more than features: classes, pairs of images, latents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastgan.naming import named

if TYPE_CHECKING:
    from torch import Tensor

    from fastgan.data import Dataset
    from fastgan.evaluation.samples import ModelSamples, Samples
    from fastgan.metrics.extractor import Extractor

    Bar = Callable[[str, int], Callable[[int], None]]

METRICS = ("ifid", "cas", "ppl", "lpips-diversity")
OF_REAL = ("ifid", "cas")
"""Those that look at the real images, and at their classes"""
OF_PIXELS = ("ppl", "lpips-diversity")
"""Those that compare feature maps"""
_SEED = 2020


def check(
    names: Iterable[str], data: str, real: Dataset | None, model: ModelSamples | None, network: Extractor
) -> None:
    """Raise DataError, ConfigError or MetricError where a score cannot be had, before anything is computed.

    data: what the real images are called.
    """
    from fastgan.errors import ConfigError, DataError
    from fastgan.metrics import perceptual

    for name in names:
        if name in OF_REAL and (real is None or real.labels is None):
            raise DataError(
                f"{data} has no classes, which {name} needs: sort its images into a folder for each."
            )
        if name in OF_PIXELS:
            perceptual.space(network)
        if name == "ppl" and not (model is not None and model.model.has_styles):
            raise ConfigError(
                "ppl is a path through a latent space with styles: give a run, a checkpoint or a release of a "
                f"stylegan, or leave ppl out of {named('metrics')}."
            )


def split(metrics: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names of scores, each once: those of an `Evaluator`, and those of this file.

    Raises MetricError for a name that is neither.
    """
    from fastgan.metrics.evaluate import check_metrics

    asked = list(dict.fromkeys(metrics))
    check_metrics(asked, METRICS)
    return [name for name in asked if name not in METRICS], [name for name in asked if name in METRICS]


def looks_at_real(names: Iterable[str]) -> bool:
    """Whether one of these scores needs the real images, not their statistics alone."""
    return any(name in OF_REAL for name in names)


@dataclass(frozen=True, eq=False)
class Sources:
    """Whose images are scored, and against which."""

    images: Samples
    real: Dataset | None
    held_out: Dataset | None
    seed: int
    n: int


def score(
    names: Iterable[str], network: Extractor, sources: Sources, bar: Bar, protocol: dict[str, Any]
) -> dict[str, float]:
    """Scores by name; the settings of each metric are put into `protocol`."""
    beside = _Beside(network, sources, bar)
    of = {
        "ifid": beside.ifid,
        "cas": beside.cas,
        "ppl": beside.path_length,
        "lpips-diversity": beside.diversity,
    }
    scores: dict[str, float] = {}
    for name in names:
        found, protocol[name] = of[name]()
        scores |= found
    return scores


class _Beside:
    """Each score is {name: value} and what the protocol has to say of it."""

    def __init__(self, network: Extractor, sources: Sources, bar: Bar) -> None:
        self.network, self.bar = network, bar
        self.images, self.real, self.held_out = sources.images, sources.real, sources.held_out
        self.seed, self.n = sources.seed, sources.n
        self._features: dict[str, tuple[dict[str, Tensor], Tensor]] = {}

    def ifid(self) -> tuple[dict[str, float], dict[str, Any]]:
        from fastgan.metrics.intra_class import intra_class_frechet

        space = self.network.space("fid")
        (made, labels), (real, real_labels) = self._of_generated(), self._of_real()
        found = intra_class_frechet(real[space], real_labels, made[space], labels, self._class_names)
        mean = {f"ifid[{space}]": sum(found.values()) / len(found)}
        return mean | {f"ifid:{name}[{space}]": value for name, value in found.items()}, {"weights": "equal"}

    def cas(self) -> tuple[dict[str, float], dict[str, Any]]:
        """Trained on as many real images as generated ones, or all there are of the fewer."""
        import torch

        from fastgan.metrics import accuracy
        from fastgan.metrics.intra_class import check_classes

        space = self.network.space("kid")
        (made, labels), (real, real_labels) = self._of_generated(), self._of_real()
        check_classes(real_labels, self._class_names, "real")
        check_classes(labels, self._class_names, "generated")
        random = torch.Generator().manual_seed(_SEED)
        order = torch.randperm(len(real_labels), generator=random)
        train, train_labels = real[space], real_labels
        if self.held_out is not None:
            held, test_labels = self._gather("held out", self._labelled(self.held_out))
            test = held[space]
        else:
            half, order = order.chunk(2)
            test, test_labels = train[half], real_labels[half]
        n = min(len(order), len(labels))
        chosen = torch.randperm(len(labels), generator=random)[:n]
        order = order[:n]
        scores = {
            f"cas[{space}]": accuracy.classification_accuracy(
                made[space][chosen], labels[chosen], test, test_labels
            ),
            f"cas_real[{space}]": accuracy.classification_accuracy(
                train[order], train_labels[order], test, test_labels
            ),
        }
        return scores, {
            "classifier": accuracy.CLASSIFIER,
            "decay": accuracy.DECAY,
            "trained_on": n,
            "tested_on": len(test_labels),
            "tested_on_images_of": "--holdout" if self.held_out is not None else "half of --data",
            "seed": _SEED,
        }

    def path_length(self) -> tuple[dict[str, float], dict[str, Any]]:
        import torch

        from fastgan.metrics import path_length, perceptual

        space = perceptual.space(self.network)
        advance = self.bar("path length", 4 * self.n)
        lengths: dict[str, list[Tensor]] = {}
        batch = 16
        for start in range(0, self.n, batch):
            size = min(batch, self.n - start)
            for name, found in self.images.path_lengths(  # type: ignore[attr-defined]
                self.seed, start, size, lambda a, b: perceptual.perceptual_distance(self.network, a, b)
            ).items():
                lengths.setdefault(name, []).append(found)
                advance(size)
        scores = {f"ppl_{name}[{space}]": float(torch.cat(parts).mean()) for name, parts in lengths.items()}
        return scores, {"epsilon": path_length.EPSILON, "pairs": self.n, "crop": "none", "space": space}

    def diversity(self) -> tuple[dict[str, float], dict[str, Any]]:
        """Of generated images, within their classes where they have some."""
        import torch

        from fastgan.metrics import perceptual

        space = perceptual.space(self.network)
        labelled = self.images.has_classes
        batches = list(self._batches(labelled=labelled))
        images = torch.cat([part for part, _ in batches])
        labels = None
        if labelled:
            drawn = [name for _, names in batches for name in names]
            numbers = {name: index for index, name in enumerate(dict.fromkeys(drawn))}
            labels = torch.tensor([numbers[name] for name in drawn])
        scores = {f"lpips-diversity[{space}]": perceptual.diversity(self.network, images, labels)}
        return scores, {"pairs": "disjoint", "within_classes": labelled, "space": space}

    @property
    def _class_names(self) -> tuple[str, ...]:
        assert self.real is not None  # `check` saw to that
        return tuple(self.real.class_names)

    def _of_real(self) -> tuple[dict[str, Tensor], Tensor]:
        assert self.real is not None
        return self._gather("real, by class", self._labelled(self.real))

    def _of_generated(self) -> tuple[dict[str, Tensor], Tensor]:
        from fastgan.errors import DataError

        if not self.images.has_classes:
            raise DataError(
                "the generated images have no classes, which ifid and cas need: give a model that was trained by "
                "fastgan train --conditional labels, or a folder with a folder for each class."
            )
        return self._gather("generated, by class", (self.n, self._batches(labelled=True)))

    def _batches(self, *, labelled: bool) -> Iterable[tuple[Tensor, list[str]]]:
        from fastgan.metrics.summary import BATCH

        for start in range(0, self.n, BATCH):
            size = min(BATCH, self.n - start)
            if labelled:
                yield self.images.by_class(self.seed + start, size)
            else:
                yield self.images.sample(self.seed + start, size), []

    def _labelled(self, data: Dataset) -> tuple[int, Iterable[tuple[Tensor, list[str]]]]:
        """All of a data set, or a random 50,000."""
        from fastgan.errors import DataError
        from fastgan.metrics.summary import BATCH, kept_rows

        if data.labels is None:
            raise DataError("the held-out images have no classes, which cas needs.")
        labels, names = data.labels, data.class_names
        rows = kept_rows(len(data.images)).nonzero()[:, 0]
        return len(rows), (
            (data.images[part], [names[label] for label in labels[part].tolist()])
            for part in rows.split(BATCH)
        )

    def _gather(
        self, what: str, source: tuple[int, Iterable[tuple[Tensor, list[str]]]]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Features float32 by space and labels, in the order of the real images' classes; computed once."""
        import torch

        from fastgan.errors import DataError
        from fastgan.metrics.checks import check_finite

        if what in self._features:
            return self._features[what]
        count, batches = source
        numbers = {name: index for index, name in enumerate(self._class_names)}
        spaces = {self.network.space("fid"), self.network.space("kid")}
        parts: dict[str, list[Tensor]] = {space: [] for space in spaces}
        labels: list[int] = []
        advance = self.bar(what, count)
        for images, names in batches:
            unknown = [name for name in names if name not in numbers]
            if unknown:
                raise DataError(
                    f"some {what} images are of class {unknown[0]!r}, and the real ones have {', '.join(numbers)}: "
                    "name the classes alike."
                )
            outputs = self.network(torch.as_tensor(images))
            for space in spaces:
                check_finite(outputs[space], what)
                parts[space].append(outputs[space].float().cpu())
            labels += [numbers[name] for name in names]
            advance(len(names))
        found = {space: torch.cat(each) for space, each in parts.items()}, torch.tensor(labels)
        self._features[what] = found
        return found
