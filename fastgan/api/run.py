"""A training run, as `fastgan.train` leaves it or as it lies on disk."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgan import arguments, ownership
from fastgan.api.report import write_report
from fastgan.api.tables import html_table
from fastgan.errors import CheckpointError, FastganError
from fastgan.inference.opening import open_generator
from fastgan.inference.runtime import Runtime
from fastgan.report.read import embed, log_lines, open_grid
from fastgan.training import checkpoint, folder
from fastgan.training.settings import RunConfig
from fastgan.training.stopping import bare

if TYPE_CHECKING:
    from PIL.Image import Image

RELEASE = "generator.safetensors"


class Run(os.PathLike[str]):
    """A training run: its settings, its curves, its pictures and its generator.

    It stands for its folder wherever a path is taken: fastgan.train(resume=run), fastgan.load(run). All but
    `generator` is read anew each time, so that a run that is still training can be watched.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """path: the run's folder, or one of its checkpoints. Raises CheckpointError for what is no run."""
        self.path = folder.existing(arguments.path(path, "path")).absolute()
        """The run's folder, wherever the working directory goes"""
        self._ended: dict[str, Any] = {}

    @classmethod
    def ended(cls, path: Path, *, device: str) -> "Run":
        """A run that has been trained on `device` in this process."""
        run = cls(path)
        run._ended = {"device": device}
        return run

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def config(self) -> RunConfig:
        """All settings. Raises ConfigError where config.toml is damaged."""
        return folder.read_config(self.path)

    @property
    def cur_nimg(self) -> int:
        """Images shown until the newest checkpoint; 0 before the first."""
        return int(self._state.get("cur_nimg", 0))

    @cached_property
    def generator(self) -> Runtime:
        """The averaged generator of the newest checkpoint, opened once by `fastgan.load`.

        Raises CheckpointError before the first checkpoint.
        """
        return open_generator(self.path)

    @property
    def history(self) -> list[dict[str, float]]:
        """The lines of log.jsonl, oldest first: `cur_nimg`, `seconds`, `img_per_s`, losses, metrics."""
        return log_lines(self.path)

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric that was computed while training, as in {"kid[effnet-lite0]": 0.031}."""
        return {name: value for line in self.history for name, value in line.items() if bare(name) != name}

    @property
    def best(self) -> dict[str, Any] | None:
        """The best evaluation so far: `metric`, `value`, and the `cur_nimg` of the checkpoint RUN/best."""
        best: dict[str, Any] | None = self._state.get("best")
        return best

    @property
    def facts(self) -> dict[str, Any]:
        """Where the run is, how far it came and why it ended: what `fastgan train --json` prints."""
        return facts(self.path, **self._ended)

    @property
    def _state(self) -> dict[str, Any]:
        """state.json of the newest checkpoint; empty before the first."""
        return _newest(self.path)[1]

    def grid(self) -> "Image":
        """The newest sheet of samples, which a notebook shows. Raises CheckpointError before the first."""
        grids = ownership.grids(self.path)
        if not grids:
            raise CheckpointError(f"the run {self.path} has drawn no samples yet")
        return open_grid(grids[-1])

    def report(self, out: str | os.PathLike[str] | None = None, *, overwrite: bool = False) -> Path:
        """Write one HTML page about the run, by default RUN/report.html, and return its path.

        overwrite: replace what is at `out`, where it is no earlier report. Raises CheckpointError where there is
        nothing to show yet, OutputError where the page cannot be written.
        """
        return write_report(self.path, out, overwrite=overwrite)

    @property
    def _named(self) -> str:
        """Its path, as short as it is from here."""
        here = Path.cwd()
        return str(self.path.relative_to(here) if self.path.is_relative_to(here) else self.path)

    def __repr__(self) -> str:
        try:
            known = self.facts
        except FastganError as error:  # moved, deleted or damaged since
            return f"Run({self._named!r}: {error})"
        best = (
            "" if known["best"] is None else f", best {known['best']['metric']} {known['best']['value']:.4g}"
        )
        return f"Run({self._named!r}: {known['cur_nimg'] / 1000:g} kimg of {known['budget']}{best})"

    def _repr_html_(self) -> str | None:
        """None, upon which a notebook shows the text, where the run cannot be read any more."""
        try:
            rows = [(name, str(value)) for name, value in self.facts.items() if value is not None]
        except FastganError:
            return None
        grids = ownership.grids(self.path)
        picture = embed(grids[-1]) if grids else None
        shown = f'<img src="{picture}" alt="samples" style="max-width: 512px">' if picture else ""
        return html_table(rows) + shown


def facts(run: Path, *, signal: int | None = None, device: str | None = None) -> dict[str, Any]:
    """Where a run is, how far it came and why it ended; None for what there is not.

    signal: what stopped it. device: what it was trained on, where that is known better than its files tell it.
    """
    place, state = _newest(run)
    config = folder.read_config(run)
    grids = ownership.grids(run)
    generator = run / RELEASE
    data, model = state.get("data", {}), config.model
    return {
        "run": run,
        "cur_nimg": state.get("cur_nimg", 0),
        "seconds": round(state.get("seconds", 0.0), 3),
        "budget": str(config.train.budget),
        "stopped": state.get("stopped"),
        "signal": signal,
        "best": state.get("best"),
        "checkpoint": place,
        "generator": generator if signal is None and generator.is_file() else None,
        "grid": grids[-1] if grids else None,
        "images": data.get("images"),
        "resolution": model.asked("resolution"),
        "channels": model.asked("img_channels"),
        "device": device or (state.get("machine", {}).get("device") or "").partition(" ")[0] or None,
        "precision": state.get("precision"),
    }


def _newest(run: Path) -> tuple[Path | None, dict[str, Any]]:
    """The newest checkpoint and its state.json; None and nothing before the first."""
    if not (run / "latest").exists():
        return None, {}
    place = checkpoint.locate(run)
    return place, checkpoint.read_state(place)
