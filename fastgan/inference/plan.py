"""Which images a process makes: batches of the whole list of seeds, in units that belong to one shard each.

Batch k of a list holds seeds k B to k B + B - 1 of it, whoever makes it and whatever is there already, so that an
image's bytes depend neither on shards nor on interruptions. A unit is what is whole or absent on disk: a batch, where
every image is a file of its own, and a file, where it holds many. Where a batch lies across two files of two shards,
both make it, and each writes its own part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastgan.brief import brief
from fastgan.inference.shards import Shard
from fastgan.seeds import MAX_SEED


@dataclass(frozen=True, eq=False)
class Batch:
    """A run of the model."""

    __repr__ = brief

    start: int
    """Place of its first seed in the whole list."""
    seeds: Sequence[int]
    rows: NDArray[np.intp]
    """The rows that are to be written."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The places [start, stop) of the list `seeds` that are this shard's."""

    __repr__ = brief

    seeds: Sequence[int]
    batch: int
    unit: int
    """Images that are written together."""
    shard: Shard = field(default_factory=Shard)

    @property
    def units(self) -> range:
        """The units that are this shard's."""
        return self.shard.part(-(-len(self.seeds) // self.unit))

    @property
    def span(self) -> range:
        """The places that are this shard's."""
        units = self.units
        return range(
            units.start * self.unit, max(units.start * self.unit, self.unit_span(units.stop - 1).stop)
        )

    def unit_span(self, unit: int) -> range:
        """The places of a unit; the last one may be smaller."""
        return range(unit * self.unit, min((unit + 1) * self.unit, len(self.seeds)))

    def batches(self, wanted: NDArray[np.bool_], *, all_of_them: bool = False) -> Iterator[Batch]:
        """Those in which something is `wanted`, bool [len(span)]; or every one of the span."""
        span = self.span
        for start in range(span.start // self.batch * self.batch, span.stop, self.batch):
            stop = min(start + self.batch, len(self.seeds))
            low, high = max(start, span.start), min(stop, span.stop)
            rows = np.flatnonzero(wanted[low - span.start : high - span.start]) + (low - start)
            if len(rows) or all_of_them:
                yield Batch(start, self.seeds[start:stop], rows)


class Places:
    """Finds the places of seeds in a list, in memory of a few bytes a seed."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._range = seeds if isinstance(seeds, range) and seeds.step == 1 else None
        if self._range is None:
            array = np.asarray(seeds, np.uint64)
            self._order = np.argsort(array, kind="stable")
            self._sorted = array[self._order]

    def of(self, seed: int) -> int | None:
        """The place of a seed; None where it is not in the list."""
        if self._range is not None:
            place = seed - self._range.start
            return place if 0 <= place < len(self._range) else None
        if not 0 <= seed <= MAX_SEED:
            return None
        at = int(np.searchsorted(self._sorted, np.uint64(seed)))
        return int(self._order[at]) if at < len(self._sorted) and int(self._sorted[at]) == seed else None


def seeds_text(seeds: Sequence[int]) -> str:
    """The text that names these for `parse_seeds`, in this order: "0-999,2000"."""
    if isinstance(seeds, range) and seeds.step == 1:
        return _run(seeds[0], seeds[-1])
    array = np.asarray(seeds, np.uint64)
    # A run ends where the next seed is not one more; from the last seed to 0, the unsigned difference is 1 too.
    ends = np.flatnonzero((np.diff(array) != 1) | (array[1:] == 0))
    starts, stops = np.concatenate([[0], ends + 1]), np.concatenate([ends, [len(array) - 1]])
    return ",".join(_run(int(array[a]), int(array[b])) for a, b in zip(starts, stops, strict=True))


def _run(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
