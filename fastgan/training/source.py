"""Images are read from their file while a run trains: this notices when it is taken away, replaced or written over."""

import os
from pathlib import Path

from fastgan.data import Dataset
from fastgan.data.row_file import FileImages
from fastgan.naming import named


class Source:
    """The .fgd file that a run reads while it trains, as it was at the start. A look takes some microseconds."""

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.path = path
        self._file = dataset.images.file if isinstance(dataset.images, FileImages) else None
        self._missed = False

    def check(self) -> str | None:
        """A sentence, once, when another file has its name or none: what is open stays, but a resumption looks there.

        Raises DataError when the file itself was written over or cut, for then its images are not those of the run.
        """
        if self._file is None:
            return None
        self._file.check()
        try:
            there: os.stat_result | None = self.path.stat()
        except OSError:
            there = None
        is_same = there is not None and os.path.samestat(there, self._file.status)
        if is_same or self._missed:
            return None
        self._missed = True
        what = "is gone" if there is None else "was replaced by another file"
        return (
            f"the data set {self.path} {what}: training goes on with the one that is open, but "
            f"{named('resume')} will need it back"
        )
