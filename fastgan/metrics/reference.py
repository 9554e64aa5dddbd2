"""The reference set's side of every score: computed once, kept as one safetensors file that can be shared.

The file is named after what it depends on: the images' content hash, the extractor with its weights and resizer, and
the spaces. It holds moments.<space>.mean and .covariance (float64), features.<space> (float32), and the protocol in its
metadata; nothing in it can run code.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import SafetensorError
from torch import Tensor

from fastgan.brief import brief
from fastgan.documents import parse_json
from fastgan.errors import DocumentError, MetricError, OutputError
from fastgan.files import atomic_write, cache_folder
from fastgan.metrics.extractor import Extractor
from fastgan.metrics.moments import Moments
from fastgan.metrics.resumable import resumable
from fastgan.metrics.summary import KEPT, OF_MOMENTS, Advance, ImageSet, Summary
from fastgan.naming import named
from fastgan.tensors import count_not_finite, open_tensors, save_tensors

FORMAT = "fastgan.reference"
VERSION = 1
USES_REFERENCE = ("fid", "kid", "prdc", "periodic")


@dataclass(frozen=True, eq=False)
class Reference:
    """The real side: what the scores need of it, and what it depends on."""

    __repr__ = brief

    summary: Summary
    about: Mapping[str, Any]
    """`identity`, as it stands in the protocol card"""

    def check(self, extractor: Extractor, metrics: Sequence[str]) -> None:
        """Raise MetricError unless it was made by `extractor` and holds what `metrics` need."""
        for field, value in _described(extractor).items():
            if self.about[field] != value:
                raise MetricError(
                    f"the reference statistics were made with {field} {self.about[field]}, and this is {value}: "
                    f"take the same {named('extractor')}, or make them again."
                )
        for metric in metrics:
            space = extractor.space(metric)
            held = self.summary.moments if metric in OF_MOMENTS else self.summary.features
            if metric in USES_REFERENCE and space not in held:
                raise MetricError(
                    f"the reference statistics were made without {metric}: leave it out of {named('metrics')}."
                )


def make_reference(
    dataset: ImageSet, extractor: Extractor, metrics: Sequence[str], *, advance: Advance | None = None
) -> Reference:
    """What `metrics` need of all images of `dataset`, from the cache where it is there, else computed and kept.

    A cache that cannot be written is no error: the next run computes it again.
    """
    wanted = [metric for metric in USES_REFERENCE if metric in metrics]
    n, about = len(dataset.images), identity(dataset, extractor)
    if not wanted:
        if advance is not None:
            advance(n)
        return Reference(Summary(n, {}, {}), about)
    path = cached_path(dataset, extractor, wanted)
    if path.is_file():
        with suppress(MetricError):  # damaged: it is made again
            found = Reference(read(path).summary, about)  # fields in one order, kept or not
            if advance is not None:
                advance(n)
            return found
    made = Reference(resumable(path.with_suffix(".partial"), dataset, extractor, wanted, advance), about)
    with suppress(OSError, OutputError):
        write(path, made)
    return made


def identity(dataset: ImageSet, extractor: Extractor) -> dict[str, Any]:
    """Everything the reference side depends on, as it stands in the protocol card."""
    return {
        **_described(extractor),
        "image_shape": [*dataset.images.shape[1:]],
        "reference_sha256": dataset.content_hash,
        "reference_n": len(dataset.images),
    }


def _described(extractor: Extractor) -> dict[str, str]:
    return {
        "extractor": extractor.name,
        "extractor_sha256": extractor.weights_sha256,
        "resizer": extractor.resizer,
        "pixel_range": extractor.pixel_range,
    }


def cached_path(dataset: ImageSet, extractor: Extractor, metrics: Sequence[str]) -> Path:
    """Where the summary is kept."""
    spaces = sorted({extractor.space(metric) for metric in metrics})
    moments = "fid" in metrics
    key = json.dumps([VERSION, KEPT, identity(dataset, extractor), spaces, moments], sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return cache_folder() / "references" / f"{extractor.name}-{digest}.safetensors"


def write(path: Path, reference: Reference) -> None:
    """Write `reference` as one safetensors file, whole or not at all."""
    summary = reference.summary
    tensors = {f"features.{space}": features.contiguous() for space, features in summary.features.items()}
    for space, moments in summary.moments.items():
        tensors[f"moments.{space}.mean"] = moments.mean.cpu()
        tensors[f"moments.{space}.covariance"] = moments.covariance.cpu().contiguous()
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "n": str(summary.n),
        "protocol": json.dumps(dict(reference.about), sort_keys=True),
    }
    with atomic_write(path) as temporary:
        save_tensors(temporary, tensors, metadata)


class _Protocol(TypedDict):
    """What `identity` gives."""

    extractor: str
    extractor_sha256: str
    resizer: str
    pixel_range: str
    image_shape: tuple[int, int, int]
    reference_sha256: str
    reference_n: int


def read(path: Path) -> Reference:
    """What `write` wrote. MetricError for anything else."""
    try:
        with open_tensors(path) as file:
            metadata = file.metadata()
            if metadata.get("format") != FORMAT or metadata.get("version") != str(VERSION):
                raise MetricError(
                    f"{path} holds no reference statistics of version {VERSION}: make them with fastgan eval "
                    "--save-reference."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        n = parse_json(metadata.get("n", ""), int, "the number of its images")
        protocol = parse_json(metadata.get("protocol", ""), _Protocol, "its protocol")
    except OSError as error:
        raise MetricError(f"cannot read {path}: {error.strerror}.") from error
    except (SafetensorError, DocumentError) as error:
        raise MetricError(f"{path} is cut short, damaged or no safetensors file ({error}).") from error
    _check(path, n, tensors)
    moments, features = {}, {}
    for name, tensor in tensors.items():
        kind, _, space = name.partition(".")
        if kind == "features":
            features[space] = tensor
        elif space.endswith(".mean"):
            space = space.removesuffix(".mean")
            moments[space] = Moments(n, tensor, tensors[f"moments.{space}.covariance"])
    return Reference(Summary(n, moments, features), protocol)


def _check(path: Path, n: int, tensors: Mapping[str, Tensor]) -> None:
    """MetricError unless the tensors are the statistics of n images."""
    for name, tensor in tensors.items():
        kind, _, space = name.partition(".")
        shape: list[int | None] = [min(n, KEPT), None]
        if kind == "moments":
            mean = tensors.get(f"{name.rpartition('.')[0]}.mean")
            size = None if mean is None else mean.numel()
            shape = [size] if space.endswith(".mean") else [size, size]
        dtype = torch.float64 if kind == "moments" else torch.float32
        fits = kind in ("features", "moments") and tensor.dtype == dtype and len(shape) == tensor.ndim
        if n < 2 or not fits or any(b not in (None, a) for a, b in zip(tensor.shape, shape, strict=True)):
            raise MetricError(
                f"{path} is damaged: its {name} is {tensor.dtype} {list(tensor.shape)}, of {n} images; make it again "
                "with fastgan eval --save-reference."
            )
        if count_not_finite(tensor):
            raise MetricError(f"{path}: its {name} holds numbers that are NaN or infinite; make it again.")
        if (
            kind == "moments"
            and space.endswith(".mean")
            and f"moments.{space[:-5]}.covariance" not in tensors
        ):
            raise MetricError(f"{path} is damaged: it has a mean without a covariance; make it again.")
