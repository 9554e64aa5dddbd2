"""The record of a run: log.jsonl, events.jsonl and sample grids, and who is told as they are written."""

import json
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import ParamSpec, TypedDict

import torch
from PIL import Image
from torch import Tensor

from fastgan import ownership
from fastgan.callbacks import NOBODY, Callback
from fastgan.documents import json_lines
from fastgan.files import atomic_write, open_append
from fastgan.machine import at_most, require_memory
from fastgan.pixels import to_uint8
from fastgan.text import shown
from fastgan.training import conditions
from fastgan.training.settings import RunConfig
from fastgan.training.trainer import Trainer

P = ParamSpec("P")


class CallbackError(Exception):
    """A callback has raised `error`, which ends training after a save."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class Log:
    """Appends to RUN/log.jsonl and events.jsonl, and tells `callback` of what it has written.

    What lies beyond `cur_nimg` (of a run that was resumed, or went back) is dropped first, grids included. What the
    callback raises comes as a CallbackError.
    """

    def __init__(
        self, run: Path, cur_nimg: int, note: Callable[[str], None], callback: Callback = NOBODY
    ) -> None:
        self.path, self.events, self.callback = run / "log.jsonl", run / "events.jsonl", callback
        for path in (self.path, self.events):
            if path.exists():
                _trim(path, cur_nimg, note)
        for grid in ownership.grids(run):
            if ownership.step(grid) > cur_nimg:
                grid.unlink()

    def write(self, line: dict[str, float]) -> None:
        """Append one line; `cur_nimg` is the curves' abscissa."""
        with open_append(self.path) as file:
            file.write(json.dumps(line) + "\n")
        values = {name: value for name, value in line.items() if name != "cur_nimg"}
        _tell(self.callback.log, int(line["cur_nimg"]), values)

    def event(self, kind: str, text: str, cur_nimg: int, seconds: float) -> None:
        """Append a sentence about the run: a warning and its end, a rollback, the reason to stop."""
        line = {"cur_nimg": cur_nimg, "seconds": round(seconds, 3), "kind": kind, "text": text}
        with open_append(self.events) as file:
            file.write(json.dumps(line) + "\n")
        _tell(self.callback.event, cur_nimg, kind, text)

    def grid(self, grid: Tensor, cur_nimg: int) -> None:
        """Tell of a grid, uint8 [H, W, C] on the CPU."""
        _tell(self.callback.grid, cur_nimg, grid.numpy())

    def checkpoint(self, path: Path, cur_nimg: int) -> None:
        """Tell of the checkpoint that lies at `path`."""
        _tell(self.callback.checkpoint, cur_nimg, path)


def _tell(method: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    try:
        method(*args, **kwargs)
    except BaseException as error:  # KeyboardInterrupt and SystemExit too: a way to end early
        raise CallbackError(error) from error


class _Line(TypedDict):
    cur_nimg: int


def _trim(path: Path, cur_nimg: int, note: Callable[[str], None]) -> None:
    """Keep the whole lines up to `cur_nimg`: a killed process may have left more, and half a line.

    What is no line of a log is left out with a note: a record that was damaged stops no run.
    """
    kept, damaged = [], 0
    for line, value in json_lines(path, _Line):
        if not line.endswith(b"\n"):
            continue
        if value is None:
            damaged += 1
        elif value["cur_nimg"] <= cur_nimg:
            kept.append(line)
    if damaged:
        note(f"{shown(path)}: left out {damaged} damaged line{'s' * (damaged > 1)}")
    if path.stat().st_size != sum(map(len, kept)):
        with atomic_write(path) as temporary:
            temporary.write_bytes(b"".join(kept))


def check_grid(config: RunConfig) -> None:
    """Raise MemoryLimitError where the grid's samples, and how far apart they lie, do not fit into memory."""
    model, count = config.model, config.train.grid_images
    pixels = model.img_channels * model.resolution**2
    # float32 images twice and their uint8 picture; z; the distances of all from all, twice (diversity.py)
    each = 9 * pixels + 4 * model.z_dim + 8 * count
    require_memory(
        each * count,
        f"a grid of {count:,} samples of {model.resolution} px",
        f"set train.grid_images to {max(at_most(each), 1):,} or less",
    )


class Grid:
    """Draws the same latents again and again, so that one can watch the images form.

    With conditions each row is of one class or set of attributes, and each column of one latent.
    """

    def __init__(self, run: Path, trainer: Trainer) -> None:
        train = trainer.config.train
        self.folder, self.trainer = run / "grids", trainer
        self.columns = max(int(train.grid_images**0.5), 1)
        generator = torch.Generator().manual_seed(train.seed)  # the same latents on every device
        self.z = torch.randn(train.grid_images, trainer.z_dim, generator=generator)  # [N, Z]
        self.c: Tensor | None = None  # [N, condition_dim]
        rows = conditions.grid_rows(trainer.config, trainer.feed, self.columns)
        if rows is not None and (c := trainer.encode(rows)) is not None:
            self.z = self.z[: self.columns].repeat(len(c), 1)
            self.c = c.repeat_interleave(self.columns, dim=0)

    def draw(self, between: Callable[[], None] = lambda: None) -> Tensor:
        """Images [N, C, R, R] on the CPU; generated a few at a time, whatever the grid's size.

        between: called before each few; what it raises ends the drawing.
        """
        drawn = []
        for part in zip(self.z.split(16), repeat(None) if self.c is None else self.c.split(16), strict=False):
            between()
            drawn.append(self.trainer.sample(*part).cpu())
        return torch.cat(drawn)

    def tile(self, images: Tensor) -> Tensor:
        """Images [N, C, R, R] -> uint8 [rows * R, columns * R, C], in reading order."""
        missing = -len(images) % self.columns
        pixels = to_uint8(torch.cat([images, images.new_full((missing, *images.shape[1:]), -1.0)]))
        n, height, width, channels = pixels.shape
        tiles = pixels.view(n // self.columns, self.columns, height, width, channels)
        return tiles.transpose(1, 2).reshape(-1, self.columns * width, channels)

    def save(self, images: Tensor, cur_nimg: int) -> Tensor:
        """Write the images as grids/<cur_nimg>.png and return what it shows."""
        grid = self.tile(images)
        with atomic_write(self.folder / f"{cur_nimg:09d}.png") as temporary:
            Image.fromarray(grid.squeeze(2).numpy()).save(temporary)
        return grid
