"""The common timer: contenders take turns in one process, and ratios are taken round by round.

A shared machine is up to several times slower from one second to the next. Two numbers taken one after the
other then compare two machines; contenders that alternate within a round meet the same one, so the median
over rounds of the *ratio within a round* is what can be trusted, and its quartiles say how far.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

CLOCKS = ("cpu", "wall", "device")


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way of doing the work. `call()` does `units` units of it (images, op calls); times are per unit."""

    name: str
    call: Callable[[], object]
    units: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How long to measure.

    clock: "cpu", CPU time of this process (right for one thread: other processes do not count);
        "wall", elapsed time with the device synchronised; "device", CUDA events.
    """

    clock: str = "cpu"
    device: str = "cpu"
    warmup: int = 3
    block_s: float = 0.02
    min_rounds: int = 11
    max_rounds: int = 101
    budget_s: float = 3.0
    settle_s: float = 0.0
    """Rest before each block, not counted: the threads of another library go on spinning after its turn."""

    def __post_init__(self) -> None:
        if self.clock not in CLOCKS:
            raise ValueError(f"clock is {self.clock!r}; it must be one of {', '.join(CLOCKS)}.")
        if self.clock == "device" and not self.device.startswith("cuda"):
            raise ValueError(f"clock 'device' needs a CUDA device, not {self.device!r}.")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median and quartiles of one number per round."""

    median: float
    q1: float
    q3: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise `values`, one a round."""
        if len(values) == 1:
            return cls(median=values[0], q1=values[0], q3=values[0], rounds=1)
        q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median=median, q1=q1, q3=q3, rounds=len(values))

    def to_json(self) -> dict[str, Any]:
        """Four significant digits: more would be noise."""
        return {
            "median": float(f"{self.median:.4g}"),
            "q1": float(f"{self.q1:.4g}"),
            "q3": float(f"{self.q3:.4g}"),
            "rounds": self.rounds,
        }


@dataclass(frozen=True)
class Measured:
    """Seconds a unit of every contender, round by round, in the order of the contenders."""

    seconds: dict[str, list[float]]

    def time(self, name: str) -> Spread:
        """Seconds a unit of `name`."""
        return Spread.of(self.seconds[name])

    def speedup(self, name: str, over: str) -> Spread:
        """How many times faster `name` is than `over`, from ratios taken within each round."""
        pairs = zip(self.seconds[over], self.seconds[name], strict=True)
        return Spread.of([slow / fast for slow, fast in pairs])

    def fastest(self, names: Sequence[str]) -> str:
        """The one of `names` with the lowest median."""
        return min(names, key=lambda name: self.time(name).median)


def _block(contender: Contender, repeats: int, settings: Settings) -> float:
    """Seconds that `repeats` calls take, by the settings' clock."""
    cuda = settings.device.startswith("cuda")
    if settings.settle_s:
        time.sleep(settings.settle_s)
    if settings.clock == "device":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            contender.call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3
    clock = time.process_time if settings.clock == "cpu" else time.perf_counter
    if cuda:
        torch.cuda.synchronize()
    began = clock()
    for _ in range(repeats):
        contender.call()
    if cuda:
        torch.cuda.synchronize()
    return clock() - began


def measure(contenders: Sequence[Contender], settings: Settings) -> Measured:
    """Time the contenders in turns until the budget is spent; every second round runs in reverse order.

    Each contender first runs `warmup` calls, the last of which decides how many calls make a block of
    `block_s`. Rounds stop at `max_rounds`, or once `budget_s` has passed and there are `min_rounds` of them.
    """
    names = [contender.name for contender in contenders]
    if len(set(names)) != len(names) or not names:
        raise ValueError(f"contenders need names of their own: {names}.")
    repeats = {}
    for contender in contenders:
        for _ in range(settings.warmup - 1):
            contender.call()
        once = max(_block(contender, 1, settings), 1e-7)
        repeats[contender.name] = max(1, round(settings.block_s / once))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    began = time.monotonic()
    for round_ in range(settings.max_rounds):
        if round_ >= settings.min_rounds and time.monotonic() - began > settings.budget_s:
            break
        for contender in contenders if round_ % 2 == 0 else reversed(contenders):
            count = repeats[contender.name]
            taken = _block(contender, count, settings)
            seconds[contender.name].append(taken / (count * contender.units))
    return Measured(seconds)


def captured(calls: Sequence[Callable[[], object]], name: str) -> Contender:
    """A contender that replays one CUDA graph of all `calls`, each on inputs of its own (together past the L2).

    So device time is measured without launch gaps, and no call finds its inputs in the cache; the results are
    kept, so that no call writes over the last one's either.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for call in list(calls) * 2:
            call()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [call() for call in calls]

    def replay() -> object:
        graph.replay()
        return kept

    return Contender(name=name, call=replay, units=len(calls))


def throughput_row(measured: Measured, baseline: str) -> dict[str, Any]:
    """Images a second of every contender, and the speed-up of the others over `baseline`."""
    rates = {name: Spread.of([1 / s for s in seconds]) for name, seconds in measured.seconds.items()}
    others = [name for name in measured.seconds if name != baseline]
    return {
        "images_per_second": {name: rate.to_json() for name, rate in rates.items()},
        "speedup": {name: measured.speedup(name, baseline).to_json() for name in others},
    }
