"""torch-fidelity and torchmetrics, where they are installed, for comparing with.

torch-fidelity imports torchvision, which has no CPU build beside a CPU torch: its names are made up while it is
imported (none of them takes part in a score), or, where torchvision lies there but does not load, the one operator
it lacks.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import torch

_NAMES = ("torchvision", *(f"torchvision.{name}" for name in ("datasets", "models", "transforms")))
_FUNCTIONAL = "torchvision.transforms.functional"


class _Anything(ModuleType):
    """A module in which every name is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@contextmanager
def _torchvision() -> Iterator[None]:
    if importlib.util.find_spec("torchvision") is not None:
        try:
            import torchvision  # noqa: F401
        except RuntimeError:  # "operator torchvision::nms does not exist"
            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        yield
        return
    made = [*_NAMES, _FUNCTIONAL]
    for name in made:
        sys.modules[name] = _Anything(name)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


def torch_fidelity() -> ModuleType:
    """torch-fidelity with the modules of its metrics imported; skips the test where it is not installed."""
    if importlib.util.find_spec("torch_fidelity") is None:
        pytest.skip("torch-fidelity is not installed: pip install --no-deps torch-fidelity==0.4.0 tqdm")
    with _torchvision():
        import torch_fidelity as package
        import torch_fidelity.metric_fid
        import torch_fidelity.metric_isc
        import torch_fidelity.metric_kid
        import torch_fidelity.metric_prc
    return package


def torchmetrics_image() -> ModuleType:
    """torchmetrics.image with the modules of its metrics imported; skips the test where it is not installed.

    Its package imports them by itself only where torch-fidelity is, whose network these tests do not use.
    """
    package = pytest.importorskip("torchmetrics.image", reason="torchmetrics is not installed")
    for name in ("fid", "inception", "kid"):
        importlib.import_module(f"torchmetrics.image.{name}")
    return package


class Given(torch.nn.Module):
    """A "network" whose output is its input: torchmetrics then scores the features it is given."""

    num_features = 0

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features
