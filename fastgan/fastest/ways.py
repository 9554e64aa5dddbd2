"""The ways to run a model: by torch, or by ONNX Runtime on an export of it, each in a precision."""

from dataclasses import dataclass
from pathlib import Path

from fastgan.fastest.choice import Trial
from fastgan.fastest.exported import open_exported
from fastgan.inference.opening import open_generator
from fastgan.inference.runtime import Runtime


def open_way(
    source: Path,
    runtime: str,
    precision: str,
    *,
    batch: int | None,
    device: str = "auto",
    lanes: int = 1,
    ema: float | None = None,
) -> Runtime:
    """Open `source` as a `Trial` names it: as `open_generator`, but ONNX Runtime for a run, too."""
    how = How(source, device, lanes, ema)
    first = how.first(batch)
    return (
        first
        if (first.name, first.precision) == (runtime, precision)
        else how.way(first, runtime, precision, batch)
    )


@dataclass(frozen=True)
class How:
    """What all ways to run a model have in common."""

    source: Path
    device: str
    lanes: int
    ema: float | None

    def first(self, batch: int | None) -> Runtime:
        """By torch in fp32, or what an exported file is for."""
        return open_generator(self.source, device=self.device, batch=batch, lanes=self.lanes, ema=self.ema)

    def way(self, first: Runtime, runtime: str, precision: str, batch: int | None) -> Runtime:
        """By another runtime, or in another precision; an export is made where there is none."""
        if runtime == "onnx" and first.name == "torch":
            return open_exported(
                self.source,
                first.facts,
                device=self.device,
                precision=precision,
                batch=batch,
                lanes=self.lanes,
            )
        return open_generator(
            self.source, runtime=runtime, device=self.device, batch=batch, precision=precision,
            lanes=self.lanes, ema=self.ema,
        )  # fmt: skip

    def opened(self, first: Runtime, chosen: Trial) -> Runtime:
        """What was chosen; `first` if it is that already."""
        if (first.name, first.precision) != (chosen.runtime, chosen.precision):
            return self.way(first, chosen.runtime, chosen.precision, chosen.batch)
        first.batch = first.fits = chosen.batch
        return first
