"""`fastgan.verify`: whether a set of generated images is whole."""

import os

from fastgan import arguments
from fastgan import progress as shows
from fastgan.inference.verify import Findings
from fastgan.inference.verify import verify as find


def verify(folder: str | os.PathLike[str], *, progress: bool = True) -> Findings:
    """Hold the images of a folder that `fastgan.generate` wrote against its manifests, by SHA-256.

    What is found has `.whole`, `.missing`, `.damaged` and so on, `.lines()` in words, and `.check()`, which raises
    IncompleteError where images are missing and DamageError where anything else is wrong. Raises OutputError for a
    folder that holds no set of images.
    """
    where = arguments.path(folder, "folder")
    with shows.progress(progress) as shown:
        count = shows.stages(shown)
        return find(where, lambda done, total: count("verify", done, total))
