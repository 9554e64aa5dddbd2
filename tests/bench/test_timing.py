"""The common timer, on contenders whose ratio is known: they advance a clock of their own."""

import itertools

import pytest

from fastgan.benchmark import timing
from fastgan.benchmark.timing import Contender, Measured, Settings, Spread, measure


class Clock:
    """Time passes only when a contender works, at a pace that changes from round to round."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        monkeypatch.setattr(timing.time, "process_time", lambda: self.now)

    def contender(self, name: str, cost: float, units: float = 1.0) -> Contender:
        def call() -> None:
            slow = 1 + (len(self.calls) // 8 % 5)  # a machine up to five times slower for a while
            self.now += cost * slow
            self.calls.append(name)

        return Contender(name=name, call=call, units=units)


SETTINGS = Settings(block_s=0.0, min_rounds=20, max_rounds=20)


def test_ratio_survives_a_machine_that_changes_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    measured = measure([clock.contender("ours", 1.0), clock.contender("theirs", 3.0)], SETTINGS)
    assert measured.speedup("ours", "theirs").median == pytest.approx(3.0)
    times = measured.time("ours")
    assert times.q3 > times.q1  # the times themselves do not survive it


def test_contenders_take_turns_in_both_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    measure([clock.contender("a", 1.0), clock.contender("b", 1.0)], SETTINGS)
    timed = clock.calls[2 * SETTINGS.warmup :]
    assert timed[:4] == ["a", "b", "b", "a"]
    assert timed.count("a") == timed.count("b") == 20


def test_seconds_are_per_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    measured = measure([clock.contender("one", 1.0), clock.contender("many", 8.0, units=8)], SETTINGS)
    assert measured.speedup("one", "many").median == pytest.approx(1.0)


def test_short_calls_are_repeated_to_fill_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    measure([clock.contender("short", 0.001)], Settings(block_s=0.02, min_rounds=1, max_rounds=1))
    assert len(clock.calls) == Settings().warmup + 20


def test_rounds_end_with_the_budget_but_never_below_the_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(step=1.0)
    monkeypatch.setattr(timing.time, "monotonic", lambda: next(ticks))
    clock = Clock(monkeypatch)
    settings = Settings(block_s=0.0, min_rounds=3, max_rounds=100, budget_s=0.5)
    assert measure([clock.contender("a", 1.0)], settings).time("a").rounds == 3
    settings = Settings(block_s=0.0, min_rounds=3, max_rounds=100, budget_s=6.5)
    assert 3 < measure([clock.contender("a", 1.0)], settings).time("a").rounds < 10


def test_quartiles() -> None:
    spread = Spread.of([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (spread.q1, spread.median, spread.q3, spread.rounds) == (2.0, 3.0, 4.0, 5)
    assert Spread.of([7.0]).median == 7.0


def test_throughput_row_counts_from_the_baseline() -> None:
    row = timing.throughput_row(Measured({"plain": [0.5, 0.5], "ours": [0.1, 0.125]}), "plain")
    assert row["images_per_second"]["plain"]["median"] == 2.0
    assert list(row["speedup"]) == ["ours"]
    assert row["speedup"]["ours"]["median"] == 4.5


def test_nonsense_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="clock"):
        Settings(clock="sundial")
    with pytest.raises(ValueError, match="CUDA"):
        Settings(clock="device", device="cpu")
    with pytest.raises(ValueError, match="names"):
        measure([Contender(name="a", call=int), Contender(name="a", call=int)], Settings())
