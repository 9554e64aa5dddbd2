"""The fastest way to run a model on this machine, found by a short measured search and remembered.

Which runtime, precision and batch are fastest depends on the model's width and on the processor by factors, and can be
told by nothing but measuring (DESIGN.md, section 6). So:

1. The ways are torch in fp32 and bf16, and ONNX Runtime on an export of the model, as far as they are allowed.
   Each first makes a few images; a way whose images are further from torch's in fp32 than `LEAST_SNR` is left out.
2. Each runs batches of 1, 4, 16, ... images. It goes on to the next size while images a second rise by 5%, memory and
   time allow; from 4 images on, a way that is three times as slow as the best goes no further.
3. The three best pairs of a way and a batch take turns until the time is over. The median decides; of those within 3%
   of the best the most exact is taken, then the smallest batch.
"""

import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fastgan.errors import ConfigError, FastganError
from fastgan.fastest import rates
from fastgan.fastest.choice import Choice, place, remember, remembered
from fastgan.fastest.rates import BLOCK, Room, Way, in_a_block, on_gpu
from fastgan.fastest.ways import How
from fastgan.inference.conditions import Request
from fastgan.inference.precisions import PRECISIONS
from fastgan.inference.runtime import Runtime
from fastgan.naming import named
from fastgan.pixels import snr

LEAST_SNR = {"fp32": 45.0, "fp16": 40.0, "bf16": 35.0, "int8": 26.0}
"""Decibels that the images of a way must be from torch's in fp32 at least, to be taken at all."""
PATIENCE = 10.0  # seconds of measuring, once every way is loaded
LADDER = {"cpu": (1, 4, 16, 64), "cuda": (1, 4, 16, 64, 256)}

_HALVING = (
    4  # images: from this batch on a slow way is dropped; a single image shows overheads rather than work
)
_FAR, _NEAR = 3.0, 0.97
_CLIMBING = 0.6  # of the time is for step 2
_FINALISTS, _CLOSE, _ROUNDS = 3, 0.8, 15

Note = Callable[[str], None]


def open_fastest(
    source: Path,
    *,
    device: str = "auto",
    precisions: Sequence[str] = ("fp32",),
    batch: int | None = None,
    lanes: int = 1,
    ema: float | None = None,
    patience: float = PATIENCE,
    note: Note = lambda _: None,
) -> tuple[Runtime, Choice]:
    """Open `source` with the runtime, precision and batch that are fastest here, of those that `precisions` allow.

    source, device, lanes, ema: as in `open_generator`; an exported file has one way, whose batch is searched. batch:
    only this one. patience: about the seconds to measure for; one batch of the least size in each way may take longer.
    note: is told what is being done. Raises what `open_generator` does, and ConfigError where no way is left.
    """
    for name in precisions:
        if name not in PRECISIONS:
            raise ConfigError(
                f"{named('precision', name)} is unknown: choose one of any, {', '.join(PRECISIONS)}."
            )
    how = How(source, device, lanes, ema)
    first = how.first(batch)
    path = place(first, precisions, batch)
    choice = remembered(path)
    if choice is not None:
        try:
            return how.opened(first, choice.chosen), choice
        except (FastganError, ImportError):
            pass  # what was fastest is no longer there
    choice = _Search(how, first, note).run(precisions, batch, patience)
    remember(path, choice)
    return how.opened(first, choice.chosen), choice


class _Search:
    """One search; `run` gives its result."""

    def __init__(self, how: How, first: Runtime, note: Note) -> None:
        self._how, self._first, self._note = how, first, note
        self._left_out: list[str] = []

    def run(self, precisions: Sequence[str], batch: int | None, patience: float) -> Choice:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a batch that does not fit is not chosen, that is all
            ways = self._load(precisions)
            names = ", ".join(f"{way.runtime.name} {way.runtime.precision}" for way in ways)
            self._note(f"measuring which is fastest: {names}")
            until = time.monotonic() + patience
            sizes = (batch,) if batch else LADDER["cuda" if on_gpu(self._first) else "cpu"]
            self._climb(ways, sizes, time.monotonic() + _CLIMBING * patience)
            return self._decide(ways, until)

    def _load(self, precisions: Sequence[str]) -> list[Way]:
        """Every allowed way that can be opened and makes the right images."""
        if self._first.name != "torch":
            return [Way(self._first)]
        seeds = range(4 if self._first.resolution <= 256 else 1)
        reference = Way(self._first).at(len(seeds)).images(seeds, Request())
        ways = []
        for runtime, precision in _candidates(self._first, precisions):
            try:
                way = Way(self._candidate(runtime, precision))
                apart = snr(way.at(len(seeds)).images(seeds, Request()), reference)
                if apart < LEAST_SNR[precision]:
                    least = LEAST_SNR[precision]
                    raise ConfigError(f"its images are {apart:.1f} dB from fp32's, less than {least:.0f}")
            except (FastganError, ImportError) as error:
                self._left_out.append(f"{runtime} {precision} left out: {error}")
                continue
            ways.append(way)
        if not ways:
            why = "; ".join(self._left_out) or f"nothing runs {' or '.join(precisions)} well here"
            raise ConfigError(f"{self._how.source} cannot be run as asked: {why}.")
        return ways

    def _candidate(self, runtime: str, precision: str) -> Runtime:
        if (runtime, precision) == ("torch", "fp32"):
            return self._first
        if runtime == "onnx":
            if self._how.ema is not None:
                raise ConfigError("an export is of the first average")
            self._note(f"ONNX Runtime in {precision}: an export is made once, and kept")
        return self._how.way(self._first, runtime, precision, None)

    def _climb(self, ways: list[Way], sizes: Sequence[int], until: float) -> None:
        """Step 2. Every way has a reading of the first size, whatever it takes."""
        room = Room()
        for size in sizes:
            climbing = [way for way in ways if way.growing]
            for k, way in enumerate(climbing):
                share = (until - time.monotonic()) / (len(climbing) - k)
                if way.rates and (size * way.runtime.lanes / way.best > share or not room.takes(size, way)):
                    way.growing = False
                else:
                    way.read(size, share)
            best = max(way.best for way in ways)
            for way in ways:
                if size >= _HALVING and way.best * _FAR < best:
                    way.growing = False

    def _decide(self, ways: list[Way], until: float) -> Choice:
        """Step 3."""
        tried = [(way, trial) for way in ways for trial in way.trials()]
        if not tried:
            raise ConfigError(
                f"{self._how.source}: a batch of that size does not fit into memory: leave "
                f"{named('batch')} away."
            )
        tried.sort(key=lambda pair: -pair[1].images_per_second)
        near = [pair for pair in tried if pair[1].images_per_second >= _CLOSE * tried[0][1].images_per_second]
        found = [(way, trial, [trial.images_per_second]) for way, trial in near[:_FINALISTS]]
        round_takes = sum(
            max(BLOCK, trial.batch * way.runtime.lanes / trial.images_per_second) for way, trial, _ in found
        )
        for _ in range(_ROUNDS if len(found) > 1 else 0):
            if time.monotonic() + round_takes > until:
                break
            for way, trial, readings in found:
                runs = in_a_block(trial.batch * way.runtime.lanes, trial.images_per_second)
                readings.append(rates.rate_of(way.at(trial.batch), runs))
        final = [
            replace(trial, images_per_second=float(f"{statistics.median(readings):.4g}"))
            for _, trial, readings in found
        ]
        best = max(trial.images_per_second for trial in final)
        chosen = min(
            (trial for trial in final if trial.images_per_second >= _NEAR * best),
            key=lambda trial: (PRECISIONS.index(trial.precision), trial.batch),
        )
        left_out = tuple(self._left_out)
        return Choice(chosen=chosen, tried=tuple(trial for _, trial in tried), left_out=left_out)


def _candidates(first: Runtime, precisions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of a runtime and a precision that are worth a try on the device of `first`, which is torch's."""
    import torch

    from fastgan.nn.precision import has_fast_bf16

    fast_bf16 = has_fast_bf16(torch.device(first.device))
    for_onnx = ("fp32", "fp16") if on_gpu(first) else ("fp32", "int8")  # the others gain nothing there
    for precision in (name for name in PRECISIONS if name in precisions):
        if precision == "fp32" or (precision == "bf16" and fast_bf16):
            yield "torch", precision
        if precision in for_onnx:
            yield "onnx", precision
