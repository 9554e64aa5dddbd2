"""The images that are scored: a model's, or those that lie in a folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgan.naming import named

if TYPE_CHECKING:
    from torch import Tensor

    from fastgan.data import Dataset
    from fastgan.inference.runtime import Runtime


class Samples(ABC):
    """Images by number, and what a card says of them."""

    @abstractmethod
    def count(self, wanted: int, *, asked: bool) -> int:
        """How many of `wanted` images there are; `asked`: the user named the number."""

    @abstractmethod
    def sample(self, start: int, n: int) -> Tensor:
        """Images start, ..., start + n - 1: uint8 [n, H, W, C]."""

    @abstractmethod
    def classes(self, start: int, n: int) -> list[str] | None:
        """The class that each of these images was made for, by name; None where they were made for none."""

    @abstractmethod
    def called(self, number: int) -> str:
        """What an image is called: its seed, or its file."""

    @property
    @abstractmethod
    def has_classes(self) -> bool:
        """Whether `by_class` can be called."""

    @abstractmethod
    def by_class(self, start: int, n: int) -> tuple[Tensor, list[str]]:
        """Images of as many of each class as there are to be had, as `sample`, and the class of each."""

    @abstractmethod
    def about(self, seed: int, n: int) -> dict[str, Any]:
        """Whose images they are, for the card."""


class ModelSamples(Samples):
    """A generator's images, one a seed."""

    def __init__(self, model: Runtime, truncation: float) -> None:
        model.check_truncation(truncation)
        self.model, self.truncation = model, truncation

    def count(self, wanted: int, *, asked: bool) -> int:
        """As many as one likes."""
        return wanted

    def sample(self, start: int, n: int) -> Tensor:
        """The images of these seeds."""
        import torch

        return torch.from_numpy(self.model.sample(n, start, self.truncation))

    def classes(self, start: int, n: int) -> list[str] | None:
        """The classes that the seeds draw."""
        if not self.model.facts.class_names:
            return None
        seeds = range(start, start + n)
        return [each["class"] for each in self.model.describe_conditions(seeds, self.model.request())]

    @property
    def has_classes(self) -> bool:
        """Whether it was trained with labels."""
        return bool(self.model.facts.class_names)

    def by_class(self, start: int, n: int) -> tuple[Tensor, list[str]]:
        """Seeds take the classes in turn."""
        import torch

        seeds = range(start, start + n)
        request = self.model.request(self.truncation, classes=self.model.facts.class_names)
        names = [each["class"] for each in self.model.describe_conditions(seeds, request)]
        return torch.from_numpy(self.model.images(seeds, request)), names

    def called(self, number: int) -> str:
        """Its seed."""
        return f"seed {number}"

    def path_lengths(
        self, seed: int, start: int, n: int, distance: Callable[[Tensor, Tensor], Tensor]
    ) -> dict[str, Tensor]:
        """Perceptual path lengths [n] in z and w, full and end, from seeds seed + 2 i to the next one, i >= start.

        Both ends have the conditions of the first one. Not truncated, as in the paper.
        """
        import torch

        from fastgan.metrics import path_length
        from fastgan.seeds import latents

        model: Any = self.model  # of torch: `has_styles` says so
        request = model.request()
        first = range(seed + 2 * start, seed + 2 * (start + n), 2)
        c = model.conditions(first, request)
        a, b = (torch.from_numpy(latents([s + end for s in first], model.z_dim)) for end in (0, 1))

        def mapping(z: Tensor) -> Tensor:
            return torch.from_numpy(model.styles(z.numpy(), c, request))

        def synthesis(w: Tensor) -> Tensor:
            images: Tensor = model.pixels(w.numpy())
            return images

        def lengths(space: str, t: Tensor) -> Tensor:
            if space == "z":
                return path_length.path_lengths(
                    a, b, t, lambda z: synthesis(mapping(z)), distance, path_length.slerp
                )
            return path_length.path_lengths(mapping(a), mapping(b), t, synthesis, distance, path_length.lerp)

        full = path_length.positions(seed + start, n)
        return {
            f"{space}_{name}": lengths(space, t)
            for space in ("z", "w")
            for name, t in (("full", full), ("end", torch.zeros_like(full)))
        }

    def about(self, seed: int, n: int) -> dict[str, Any]:
        """The model's facts and the seeds."""
        facts = self.model.facts
        return {
            "source": Path(facts.source).name,
            "model": facts.model,
            "fingerprint": facts.fingerprint,
            "cur_nimg": facts.cur_nimg,
            "seeds": f"{seed}-{seed + n - 1}",
            "runtime": self.model.name,
            "precision": self.model.precision,
        }


class FolderSamples(Samples):
    """Images that were made before, in the order of their names."""

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.path, self.dataset = path, dataset
        self._names: tuple[str, ...] = ()

    def count(self, wanted: int, *, asked: bool) -> int:
        """All of them, or the first `wanted`; MetricError if more were asked for than there are."""
        from fastgan.errors import MetricError

        if asked and wanted > len(self.dataset):
            raise MetricError(
                f"{self.path} holds {len(self.dataset):,} images, and {named('n')} asks for {wanted:,}."
            )
        return min(wanted, len(self.dataset)) if asked else len(self.dataset)

    def sample(self, start: int, n: int) -> Tensor:
        """The images of these numbers."""
        return self.dataset.images[start : start + n]

    def classes(self, start: int, n: int) -> list[str] | None:
        """The folders that they lie in."""
        labels = self.dataset.labels
        if labels is None:
            return None
        return [self.dataset.class_names[label] for label in labels[start : start + n].tolist()]

    @property
    def has_classes(self) -> bool:
        """Whether they lie in folders of classes."""
        return self.dataset.labels is not None

    def by_class(self, start: int, n: int) -> tuple[Tensor, list[str]]:
        """As `sample`, shuffled: a folder lists one class after the other."""
        import torch

        order = torch.randperm(len(self.dataset), generator=torch.Generator().manual_seed(0))
        rows = order.roll(-start)[:n]
        names = self.classes(0, len(self.dataset)) or []
        return self.dataset.images[rows], [names[row] for row in rows.tolist()]

    def called(self, number: int) -> str:
        """Its file."""
        if not self._names:
            self._names = self.dataset.names or tuple(f"image {k}" for k in range(len(self.dataset)))
        return self._names[number]

    def about(self, seed: int, n: int) -> dict[str, Any]:
        """Where they lie, and their hash."""
        return {"source": self.path.name, "content_sha256": self.dataset.content_hash, "seeds": None}
