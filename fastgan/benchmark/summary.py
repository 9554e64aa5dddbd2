"""The whole of `fastgan bench` as one table: what, in which case, our number, and how it compares."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fastgan.benchmark.contenders import EAGER
from fastgan.benchmark.disk import BATCHED, SCRIPT
from fastgan.benchmark.report import Row, Table, seconds
from fastgan.benchmark.start import FLOOR
from fastgan.benchmark.start import SCRIPT as SCRIPT_PROCESS

_HEAD = ["what", "case", "ours", "against", "times as fast"]
_OURS = ("torch ", "onnx ")


def summary(document: Mapping[str, Any]) -> Table:
    """A line an op, a trained model, and a question about inference; only the best of our ways is in it."""
    lines: list[list[str]] = []
    for section, content in document["sections"].items():
        lines += _SECTIONS[section](content["rows"])
    return _HEAD, lines


def _ratio(fast: float, slow: float) -> str:
    return f"{fast / slow:.3g}x"


def _ops(rows: Sequence[Row]) -> Iterator[list[str]]:
    """The median over an op's cases, and their range."""
    for op in dict.fromkeys(row["op"] for row in rows):
        mine = [row for row in rows if row["op"] == op]
        found = sorted(row["speedup"]["eager"]["median"] for row in mine)
        floor = statistics.median(row["over_floor"]["median"] for row in mine)
        gain = f"{statistics.median(found):.3g}x ({found[0]:.3g}-{found[-1]:.3g})"
        cases = f"{len(mine)} case{'s' if len(mine) > 1 else ''}"
        yield ["op", f"{op}, {cases}", f"{floor:.3g}x a copy's time", "best eager", gain]


def _train(rows: Sequence[Row]) -> Iterator[list[str]]:
    for row in rows:
        rates = {name: rate["median"] for name, rate in row["images_per_second"].items()}
        for other in (name for name in rates if name in ("plain", "eager")):
            ours = f"{rates['fastgan']:.4g} images/s"
            gain = _ratio(rates["fastgan"], rates[other])
            yield ["training step", f"{row['model']}, batch {row['batch']}", ours, other, gain]


def _best(found: Mapping[str, float], largest: bool = True) -> tuple[str, float]:
    ours = {name: value for name, value in found.items() if name.startswith(_OURS)}
    name = (max if largest else min)(ours, key=ours.__getitem__)
    return name, ours[name]


def _nowhere(row: Row) -> Iterator[list[str]]:
    rates = {name: rate["median"] for name, rate in row["images_per_second"].items()}
    name, best = _best(rates)
    against = [other for other in rates if other == EAGER or other.startswith("compile")] or [""]
    for other in against:
        gain = _ratio(best, rates[other]) if other else ""
        yield ["seeds to pixels", f"batch {row['batch']}", f"{best:.4g} images/s, {name}", other, gain]


def _latency(row: Row) -> Iterator[list[str]]:
    times = {name: found["p50"] / 1e3 for name, found in row["milliseconds"].items()}
    name, best = _best(times, largest=False)
    gain = _ratio(times[EAGER], best) if EAGER in times else ""
    yield ["one image", "batch 1", f"{seconds(best)}, {name}", EAGER if gain else "", gain]


def _disk(row: Row) -> Iterator[list[str]]:
    rates = {name: rate["median"] for name, rate in row["images_per_second"].items()}
    name, best = _best(rates)
    if row["format"] == "nowhere":
        return
    case = f"{row['format']}, batch {row['batch']}"
    for other in [other for other in (SCRIPT, BATCHED) if other in rates] or [""]:
        gain = _ratio(best, rates[other]) if other else ""
        yield ["seeds to files", case, f"{best:.4g} images/s, {name}", other, gain]


def _start(row: Row) -> Iterator[list[str]]:
    times = {name: spread["median"] for name, spread in row["seconds"].items() if name != FLOOR}
    name, best = _best(times, largest=False)
    gain = _ratio(times[SCRIPT_PROCESS], best) if SCRIPT_PROCESS in times else ""
    yield ["cold start", "one image", f"{seconds(best)}, {name}", SCRIPT_PROCESS if gain else "", gain]


_ASKED: dict[str, Callable[[Row], Iterator[list[str]]]] = {
    "nowhere": _nowhere,
    "latency": _latency,
    "disk": _disk,
    "start": _start,
}


def _inference(rows: Sequence[Row]) -> Iterator[list[str]]:
    for row in rows:
        for what, case, *rest in _ASKED[row["ask"]](row):
            yield [what, f"{row['model']}, {case}", *rest]


_SECTIONS: dict[str, Callable[[Sequence[Row]], Iterator[list[str]]]] = {
    "ops": _ops,
    "train": _train,
    "inference": _inference,
}
