"""Loads the compiled ops, and decides for each call whether it runs on them or on the reference.

`FASTGAN_OPS=native` makes a missing extension an error, `FASTGAN_OPS=reference` ignores a present one.
"""

import importlib
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastgan import environment
from fastgan.errors import ConfigError
from fastgan.ops.cases import accumulation_dtype

_REBUILD = "reinstall fastgan where a C++ compiler is found (`pip install --force-reinstall --no-deps .`)"


class _Extension:
    """What was found of the compiled ops in this process: which devices they serve, and why not others."""

    def __init__(self) -> None:
        self.devices: frozenset[str] = frozenset()
        self.facts: dict[str, Any] = {}
        self.reason = ""
        self.cuda_reason = ""
        choice = environment.ops()
        environment.isa()
        if choice == "reference":
            self.reason = self.cuda_reason = "FASTGAN_OPS=reference asks for it"
            return
        self._load_cpu()
        if self.devices:
            self._load_cuda()
        elif choice == "native":
            raise ConfigError(f"FASTGAN_OPS=native, but the native ops are not there: {self.reason}.")

    def _load_cpu(self) -> None:
        try:
            module = importlib.import_module("fastgan._C")
        except ImportError as error:
            self.reason = f"the compiled extension fastgan._C cannot be imported ({error}); {_REBUILD}"
            return
        self.facts = dict(module.build_info())
        self.devices = frozenset({"cpu"})

    def _load_cuda(self) -> None:
        if torch.version.cuda is None:
            self.cuda_reason = "this torch is a CPU build"
            return
        libraries = sorted(Path(__file__).parents[1].glob("_C_cuda*.so"))
        if not libraries:
            self.cuda_reason = "no CUDA kernels were built: reinstall fastgan where nvcc is found"
            return
        try:
            torch.ops.load_library(str(libraries[0]))
        except OSError as error:
            self.cuda_reason = f"the CUDA kernels cannot be loaded ({error})"
            return
        self.devices = self.devices | {"cuda"}


_extension = _Extension()
_reference_depth = 0
_substitutes: dict[str, Callable[..., Tensor]] = {}
_announced: set[str] = set()


def is_native(x: Tensor) -> bool:
    """Whether an op called on `x` runs on a compiled kernel. The first call that could but does not says so."""
    if _reference_depth:
        return False
    device = x.device.type
    if device in _extension.devices:
        return True
    if device in ("cpu", "cuda") and device not in _announced and not torch.compiler.is_compiling():
        _announced.add(device)
        reason = _extension.reason if device == "cpu" else _extension.cuda_reason or _extension.reason
        if environment.ops() != "reference":
            warnings.warn(f"fastgan runs on slow reference ops on {device}: {reason}.", stacklevel=3)
    return False


def dense(x: Tensor) -> Tensor:
    """`x`, copied only where it is neither contiguous nor channels_last, the two layouts that the kernels read."""
    if x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)):
        return x
    return x.contiguous()


def operand(values: Tensor, x: Tensor) -> Tensor:
    """A small parameter as the kernels for `x` read it: contiguous, in the accumulation dtype."""
    return values.to(accumulation_dtype(x.dtype)).contiguous()


def plain(reference: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """What runs in place of a kernel: the op's reference, or what `reference(...)` was given for that op."""
    return _substitutes.get(reference.__name__.removesuffix("_reference"), reference)


@contextmanager
def reference(**substitutes: Callable[..., Tensor]) -> Iterator[None]:
    """Within this context every op runs as plain torch, which exporters and tracers can see through.

    `substitutes` names ops to run by other functions of the same signature: an exporter's own way to write them.
    """
    global _reference_depth, _substitutes  # noqa: PLW0603  plain globals are what torch.compile can guard on
    before = _substitutes
    _reference_depth += 1
    _substitutes = {**before, **substitutes}
    try:
        yield
    finally:
        _reference_depth -= 1
        _substitutes = before


def backend(device: str = "cpu") -> str:
    """Which implementation ops use on `device` ("cpu" or "cuda"): "native" or "reference"."""
    return "native" if not _reference_depth and device in _extension.devices else "reference"


def build_info() -> dict[str, Any]:
    """Facts about the compiled ops for `fastgan doctor`.

    Keys: native, cuda (bool), reason, cuda_reason (why not, empty if they are there), and, of the extension:
    compiler, isa (the instruction set its kernels run with here), isa_built, pybind11, target_torch.
    """
    return {
        "native": "cpu" in _extension.devices,
        "cuda": "cuda" in _extension.devices,
        "reason": _extension.reason,
        "cuda_reason": _extension.cuda_reason,
        "torch": torch.__version__,
        "machine": platform.machine(),
        **_extension.facts,
    }


def has_op(name: str) -> bool:
    """Whether the raw op `fastgan::name` is registered in this process (fake kernels and autograd need it)."""
    return bool(_extension.devices) and hasattr(torch.ops.fastgan, name)
