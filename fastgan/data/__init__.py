"""Data: any source of images -> one checked, packed data set -> batches on a device.

`open_dataset` reads a packed `.fgd` or whatever `fastgan.data.sources` has a file for; `pack` writes a `.fgd`;
`Feed` hands out batches; `fastgan.data.avatars.render` draws the demo's faces. Nothing heavy is imported before it is
asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastgan.data.dataset import BadImage, Dataset
    from fastgan.data.feed import Batch, Conditions, Feed
    from fastgan.data.opening import open_dataset, pack
    from fastgan.data.surveying import Found, survey

__all__ = ["BadImage", "Batch", "Conditions", "Dataset", "Feed", "Found", "open_dataset", "pack", "survey"]

_HOME = {
    "BadImage": "dataset",
    "Batch": "feed",
    "Conditions": "feed",
    "Dataset": "dataset",
    "Feed": "feed",
    "Found": "surveying",
    "open_dataset": "opening",
    "pack": "opening",
    "survey": "surveying",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"fastgan.data.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
