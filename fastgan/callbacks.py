"""What long calls tell while they work: one protocol for training, scoring, generating and all else that takes minutes.

A logger for Weights & Biases, MLflow or TensorBoard is a subclass of `Callback` (docs/api.md has examples).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastgan.errors import ConfigError
from fastgan.naming import named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Work = Literal["train", "evaluate", "generate", "export", "augment", "tune", "bench", "pack"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What begins."""

    work: Work
    folder: Path | None = None
    """The run, or the folder that is written; None where there is none."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """For training its tables, as in config.toml; otherwise the call's arguments."""
    step: int = 0
    """Where it starts: `cur_nimg` of a training run that is resumed, else 0."""


class Callback:
    """Override what you need; every method does nothing otherwise.

    Methods are called in the thread that works, between two steps, and under torchrun in the first process alone. They
    take time from the work. What they raise ends it as an error of its own would: a training run is saved first.
    """

    def begin(self, job: Job) -> None:
        """Once, before the first step."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a moment. Training: each line of log.jsonl at `step` = `cur_nimg`, metrics among them. Otherwise
        the scores when they are computed, or how many images are done."""

    def event(self, step: int, kind: str, text: str) -> None:
        """A sentence about the work: a warning and its end, a rollback, the reason to stop."""

    def grid(self, step: int, image: "NDArray[np.uint8]") -> None:
        """A sheet of samples: uint8 [H, W, C], C the images' 1 to 4 channels."""

    def checkpoint(self, step: int, path: Path) -> None:
        """A checkpoint is complete on disk."""

    def end(self, results: Mapping[str, Any]) -> None:
        """Once, whatever happened. results["status"] is "finished", "interrupted" or "failed"; the rest says what was
        reached (training: cur_nimg, seconds, stopped) or made."""


NOBODY = Callback()
"""Is told of everything and does nothing."""


class Callbacks(Callback):
    """Several as one, told in their order.

    Where one fails to begin, those that have begun are told of the end; at the end all are told, whichever fails.
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self.callbacks = tuple(callbacks)

    def begin(self, job: Job) -> None:  # noqa: D102
        for k, callback in enumerate(self.callbacks):
            try:
                callback.begin(job)
            except BaseException as error:
                Callbacks(self.callbacks[:k]).end({"error": str(error), "status": _status(error)})
                raise

    def log(self, step: int, values: Mapping[str, float]) -> None:  # noqa: D102
        for callback in self.callbacks:
            callback.log(step, values)

    def event(self, step: int, kind: str, text: str) -> None:  # noqa: D102
        for callback in self.callbacks:
            callback.event(step, kind, text)

    def grid(self, step: int, image: "NDArray[np.uint8]") -> None:  # noqa: D102
        for callback in self.callbacks:
            callback.grid(step, image)

    def checkpoint(self, step: int, path: Path) -> None:  # noqa: D102
        for callback in self.callbacks:
            callback.checkpoint(step, path)

    def end(self, results: Mapping[str, Any]) -> None:  # noqa: D102
        with ExitStack() as ends:
            for callback in reversed(self.callbacks):
                ends.callback(callback.end, results)


def as_one(callback: Callback | Iterable[Callback] | None) -> Callback:
    """The `callback` argument of the API, which takes one, several or none. ConfigError for anything else."""
    if callback is None:
        return NOBODY
    if isinstance(callback, Callback):
        return callback
    several = tuple(callback) if isinstance(callback, list | tuple | set | Iterator) else (callback,)
    for each in several:
        if not isinstance(each, Callback):
            mend = f"make one: {each.__name__}()" if isinstance(each, type) else "subclass fastgan.Callback"
            raise ConfigError(f"{named('callback', each)} is no callback: {mend}.")
    return Callbacks(several)


@contextmanager
def told(callback: Callback, job: Job) -> Iterator[dict[str, Any]]:
    """Call `begin`, then `end` with the results that the block puts into the mapping it is given.

    What the block raises is raised, with a note where `end` fails too.
    """
    results: dict[str, Any] = {}
    callback.begin(job)
    try:
        yield results
    except BaseException as error:
        try:
            callback.end({"error": str(error), **results, "status": _status(error)})
        except Exception as second:
            error.add_note(f"The end of a callback failed as well: {second}")
        raise
    callback.end({"status": "finished", **results})


def _status(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
