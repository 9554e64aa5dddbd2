"""The packed images are mapped, not read: this notices when their file is taken away or written over."""

from pathlib import Path

from fastgan.errors import DataError


class Source:
    """The .fgd file that a run reads while it trains, as it was at the start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = path.stat().st_size
        self._missed = False

    def check(self) -> str | None:
        """A sentence, once, when the file is gone: what is mapped stays, but a resumption would not find it.

        Raises DataError when it has another size, for then the images are no longer those of the run.
        """
        try:
            size = self.path.stat().st_size
        except OSError:
            first, self._missed = not self._missed, True
            gone = "training goes on with what is mapped, but --resume will need it back"
            return f"the data set {self.path} is gone: {gone}" if first else None
        if size != self._size:
            raise DataError(
                f"the data set {self.path} was written over while training read it ({self._size} bytes before, {size} "
                "now): restore it, then go on from the last checkpoint with --resume"
            )
        return None
