"""What a conditional model is asked for, and what a seed gets where the request leaves it open.

A model's checkpoint holds a sample of its data's joint distribution: up to 4,096 rows of a label and attributes. A
seed's conditions depend on the seed, the request and that sample alone:

1. Of k requested classes the seed takes number seed mod k, so that consecutive seeds share them out evenly.
2. Of the sample, the rows that agree with that class and with the named attributes remain; where none agrees with
   all, the nearest do (`JointSample.rows_like`).
3. One of them is taken by u in [0, 1), the seed's number of `latents.uniforms`: row floor(u * rows). It gives the
   class, where none was requested, and the attributes that were not named.
"""

import base64
import difflib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgan import arguments
from fastgan.brief import brief
from fastgan.errors import ConfigError
from fastgan.naming import in_a_line, named
from fastgan.seeds import uniforms

ALL = "all"  # every class, unless one is called so
_LARGEST = float(np.finfo(np.float32).max)
_NEAREST = 32  # rows that stand in where none agrees: enough for variety in what was not asked for


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a model besides seeds. The image of a seed depends on the two alone."""

    truncation_psi: float = 1.0
    truncation_cutoff: int | None = None
    classes: tuple[int, ...] = ()
    """Indices of the classes that seeds take in turn; () draws them from the data's distribution."""
    attributes: tuple[tuple[int, float], ...] = ()
    """Indices and values of the named attributes, by index."""
    noise: str = "const"
    """The model's constant noise ("const"), noise drawn from each seed ("random"), or "none"."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """Labels int64 [n] and attributes float32 [n, A] (NaN: unknown); None for what the model is not conditioned on."""

    __repr__ = brief

    labels: NDArray[np.int64] | None = None
    attributes: NDArray[np.float32] | None = None

    def encode(self, classes: int) -> NDArray[np.float32]:
        """c float32 [n, classes + 2 A], as `fastgan.nn.conditions.encode`: one-hot label, values, known flags."""
        parts = []
        if self.labels is not None:
            parts.append(np.eye(classes, dtype=np.float32)[self.labels])
        if self.attributes is not None:
            known = ~np.isnan(self.attributes)
            parts += [np.where(known, self.attributes, 0), known]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    @classmethod
    def decode(cls, c: NDArray[np.float32], classes: int) -> "Conditions":
        """The inverse of `encode`; ConfigError for a c between two classes or between known and unknown."""
        one_hot, (values, known) = c[:, :classes], np.split(c[:, classes:], 2, axis=1)
        flags = np.concatenate([one_hot, known], axis=1)
        if not np.isin(flags, (0, 1)).all() or (classes and not (one_hot.sum(1) == 1).all()):
            raise ConfigError(
                "an exported model knows nothing between two classes, nor between a known and an unknown attribute: "
                f"name one of {named('classes')} and the {named('attributes')}, or generate from the run."
            )
        return cls(
            labels=one_hot.argmax(1) if classes else None,
            attributes=np.where(known == 1, values, np.float32(np.nan)) if known.shape[1] else None,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those that there are, by name."""
        arrays = {"labels": self.labels, "attributes": self.attributes}
        return {name: array for name, array in arrays.items() if array is not None}

    def to_text(self) -> str:
        """A compressed .npz in base64, which fits into the metadata of any format."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self.arrays())  # type: ignore[arg-type]
        return base64.b64encode(buffer.getvalue()).decode("ascii")

    @classmethod
    def from_text(cls, text: str) -> "Conditions":
        """The inverse of `to_text`; ValueError, or what zipfile raises, for anything else."""
        with np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in arrays.files})


@dataclass(frozen=True, eq=False)
class JointSample:
    """A sample of the data's joint distribution, with the names that requests are made in."""

    __repr__ = brief

    class_names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    rows: Conditions
    """What some of the data's images have, drawn evenly."""
    _cache: dict[Any, NDArray[np.intp]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        labels, attributes = self.rows.labels, self.rows.attributes
        if (labels is None) == bool(self.class_names) or (attributes is None) == bool(self.attribute_names):
            raise ValueError("the sample of the data's conditions does not have what there are names for")
        if labels is not None and not (
            len(labels) and 0 <= labels.min() <= labels.max() < len(self.class_names)
        ):
            raise ValueError(f"labels of the sample go beyond the {len(self.class_names)} class names")
        if attributes is not None and (
            not len(attributes) or attributes.shape[1] != len(self.attribute_names)
        ):
            raise ValueError(f"the sample does not have {len(self.attribute_names)} attributes")

    def draw(self, seeds: Sequence[int], request: Request) -> Conditions:
        """The conditions of each of `seeds`; see the module's docstring."""
        turns = len(request.classes)
        wanted = np.array([request.classes[seed % turns] if turns else -1 for seed in seeds], np.int64)
        rows, u = np.empty(len(seeds), np.intp), uniforms(seeds)
        for label in np.unique(wanted):
            these = wanted == label
            alike = self.rows_like(None if label < 0 else int(label), request.attributes)
            rows[these] = alike[(u[these] * len(alike)).astype(np.intp)]
        labels = self.rows.labels
        if labels is not None:
            labels = wanted if turns else labels[rows]
        attributes = self.rows.attributes
        if attributes is not None:
            attributes = attributes[rows]
            for index, value in request.attributes:
                attributes[:, index] = value
        return Conditions(labels=labels, attributes=attributes)

    def rows_like(self, label: int | None, named: tuple[tuple[int, float], ...]) -> NDArray[np.intp]:
        """Rows of class `label` (None: of any) that agree with the `named` attributes, in the sample's order.

        Where none does: the nearest of that class, by the sum of squared differences in units of each attribute's
        variance, an unknown value counting 1; 32 of them, or all that are equally near. A class that the sample
        happens not to hold counts as any.
        """
        key = (label, named)
        if key not in self._cache:
            self._cache[key] = self._rows_like(label, named)
        return self._cache[key]

    def _rows_like(self, label: int | None, named: tuple[tuple[int, float], ...]) -> NDArray[np.intp]:
        labels, attributes = self.rows.labels, self.rows.attributes
        count = len(labels if labels is not None else attributes)  # type: ignore[arg-type]
        rows = np.arange(count) if label is None or labels is None else np.flatnonzero(labels == label)
        if not len(rows):
            rows = np.arange(count)
        if attributes is None or not named:
            return rows
        columns = [index for index, _ in named]
        table = attributes[:, columns].astype(np.float64)
        known = ~np.isnan(table)
        spread = np.where(known.sum(0) > 1, np.var(table, axis=0, where=known), 0)
        difference = (table - [value for _, value in named]) ** 2 / np.where(spread > 0, spread, 1)
        distance = np.where(known, difference, 1).sum(1)[rows]
        # Sorted by distance, of equals the first in the sample first: no platform breaks ties in its own way.
        nearest = np.argsort(distance, kind="stable")
        least = int((distance == distance.min()).sum())
        kept = least if distance.min() == 0 else max(least, _NEAREST)
        return np.sort(rows[nearest[:kept]])

    def describe(self, conditions: Conditions) -> list[dict[str, Any]]:
        """Each row in names, ready for JSON: {"class": "truck", "attributes": {"smiling": 1.0}}; null: unknown."""
        columns: dict[str, list[Any]] = {}
        if conditions.labels is not None:
            columns["class"] = [self.class_names[label] for label in conditions.labels]
        if conditions.attributes is not None:
            columns["attributes"] = [
                {name: _plain(value) for name, value in zip(self.attribute_names, row, strict=True)}
                for row in conditions.attributes
            ]
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def find_classes(given: str | Iterable[str], class_names: Sequence[str], model: str) -> tuple[int, ...]:
    """Indices of the classes that `given` names, each once: names, several in one string by commas, or "all".

    Raises ConfigError for a name that is not there, and where there are none at all. `model` names it in words.
    """
    texts = _texts(given)
    if not texts:
        return ()
    if not class_names:
        raise ConfigError(f"{model} has no classes: leave {named('classes')} away.")
    found: dict[int, None] = {}
    for text in texts:
        # A class's own name may hold commas ("tench, Tinca tinca"): it goes before anything else.
        for name in [text] if text in class_names else [part.strip() for part in text.split(",")]:
            if name == ALL and ALL not in class_names:
                found.update(dict.fromkeys(range(len(class_names))))
            else:
                found[_index(name, class_names, "class", "classes", model)] = None
    return tuple(found)


def _texts(given: object) -> list[str]:
    """The texts that name classes; ConfigError for what is none."""
    try:
        texts = [given] if isinstance(given, str) else list(given)  # type: ignore[call-overload]
    except TypeError:
        texts = [None]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(
            f"{named('classes', given)} names no classes: give their names, as in ['truck', 'ship'], or 'all'."
        )
    return [text for text in texts if isinstance(text, str) and (text or not isinstance(given, str))]


def find_attributes(
    given: Mapping[str, float], attribute_names: Sequence[str], model: str
) -> tuple[tuple[int, float], ...]:
    """Indices and values of the attributes that `given` names; ConfigError as in `find_classes`."""
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{named('attributes', given)} names no values: give a number for each name, as in {{'smiling': 1}}."
        )
    if not given:
        return ()
    if not attribute_names:
        raise ConfigError(f"{model} has no attributes: leave {named('attributes')} away.")
    found = {}
    for name, value in given.items():
        index = _index(name, attribute_names, "attribute", "attributes", model)
        number = float(value) if isinstance(value, bool) else arguments.real(value)  # True is a yes
        if number is None or not abs(number) <= _LARGEST:  # also refuses NaN
            raise ConfigError(
                f"{named('attributes')}: {name}={in_a_line(repr(value))} is no number: "
                f"leave {name} away to draw it from the data."
            )
        found[index] = float(np.float32(number))
    return tuple(sorted(found.items()))


def parse_attributes(texts: Iterable[str]) -> dict[str, float]:
    """Values by name, of texts like "smiling=1,age=0.3"; ConfigError for anything else."""
    found: dict[str, float] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, equals, value = (piece.strip() for piece in part.rpartition("="))
        if not equals or not name:
            raise ConfigError(
                f"{named('attributes', part)} is not NAME=NUMBER; write it like smiling=1,age=0.3."
            )
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ConfigError(f"{named('attributes', part)}: {value!r} is no number; 1 is yes and 0 is no.")
        if found.get(name, number) != number:
            raise ConfigError(
                f"{named('attributes')} gives {name} two values, {found[name]:g} and {number:g}: give one."
            )
        found[name] = number
    return found


def _plain(value: np.float32) -> float | None:
    """With as many digits as tell it from its neighbours in float32: 0.9, not 0.8999999761581421; None for NaN."""
    return None if math.isnan(value) else float(str(value))


def _index(name: str, names: Sequence[str], one: str, many: str, model: str) -> int:
    if name in names:
        return names.index(name)
    near = difflib.get_close_matches(str(name), names, n=2)
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    shown = ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")
    raise ConfigError(f"{model} has no {one} {name!r:.60}{meant}: its {many} are {shown}.")
