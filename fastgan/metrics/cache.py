"""Where statistics of reference sets and downloaded weights are kept between runs."""

import os
from pathlib import Path


def folder() -> Path:
    """FASTGAN_CACHE where it is set, else the user's own cache folder; it need not exist yet."""
    named = os.environ.get("FASTGAN_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastgan"
