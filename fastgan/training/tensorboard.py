"""RUN/tensorboard: the curves, sentences and samples of a run as TensorBoard's event files."""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgan.callbacks import Callback, Job
from fastgan.files import plain_folder
from fastgan.text import shown
from fastgan.training.checkpoint import saving

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TensorBoard(Callback):
    """Writes event files, where tensorboard is installed; else says once, through `note`, that it is not.

    What an earlier process, or this one before a rollback, wrote beyond the point where training goes on is hidden in
    TensorBoard, as it is dropped from log.jsonl. Raises OutputError where a file cannot be written.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._writer: Any = None
        self._open = ExitStack()
        self._run = Path()

    def begin(self, job: Job) -> None:  # noqa: D102
        assert job.folder is not None
        self._run = job.folder
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            self._note("tensorboard is not installed: log.jsonl has the curves (pip install tensorboard)")
        else:
            # TensorBoard opens names in UTF-8 alone, and opens its file again for each part that it writes.
            self._folder = os.path.join(self._open.enter_context(plain_folder(self._run)), "tensorboard")
            self._go_on_from(job.step)

    def log(self, step: int, values: Mapping[str, float]) -> None:  # noqa: D102
        if self._writer is not None:
            with saving(self._run / "tensorboard", self._run):
                for name, value in values.items():
                    self._writer.add_scalar(name, value, step)

    def event(self, step: int, kind: str, text: str) -> None:  # noqa: D102
        if self._writer is not None:
            with saving(self._run / "tensorboard", self._run):
                if kind == "rollback":
                    self._writer.close()
                    self._go_on_from(step)
                self._writer.add_text(kind, shown(text), step)

    def grid(self, step: int, image: "NDArray[np.uint8]") -> None:  # noqa: D102
        if self._writer is not None:
            with saving(self._run / "tensorboard", self._run):
                self._writer.add_image("samples", image[..., :3], step, dataformats="HWC")

    def end(self, results: Mapping[str, Any]) -> None:  # noqa: D102
        if self._writer is not None:
            self._writer.close()
        self._open.close()

    def _go_on_from(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(self._folder, purge_step=step + 1 if step else None)
