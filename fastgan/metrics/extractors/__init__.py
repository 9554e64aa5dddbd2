"""Feature extractors, one file each: images -> features. Adding one is adding a file here.

`--extractor some-name` resolves to some_name.py, which has `open_network(device) -> Extractor`; a path that ends in
.onnx, .pt or .ts opens a network of your own (see `fastgan.metrics.own_network`).
"""

import importlib
import pkgutil
from pathlib import Path

import torch

from fastgan.device import choose
from fastgan.errors import MetricError
from fastgan.metrics.extractor import Extractor
from fastgan.metrics.own_network import open_file

DEFAULT = "effnet-lite0"
_OWN = (".onnx", ".pt", ".ts")


def names() -> list[str]:
    """The extractors that this folder holds, sorted."""
    return sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules(__path__))


def open_extractor(spec: str | Path | None = None, device: str | torch.device = "cpu") -> Extractor:
    """The extractor called `spec` (None: the default), or the network in the file of that path.

    Raises MetricError for an unknown name, and where weights are missing or are not the published ones.
    """
    wanted = DEFAULT if spec is None else str(spec)
    where = choose(device)
    if Path(wanted).suffix.lower() in _OWN:
        return open_file(Path(wanted), where)
    if wanted not in names():
        raise MetricError(
            f"there is no extractor {wanted!r}: choose one of {', '.join(names())}, or give the path of an .onnx or "
            "TorchScript file."
        )
    module = importlib.import_module(f"{__name__}.{wanted.replace('-', '_')}")
    opened: Extractor = module.open_network(where)
    return opened
