"""fastgan's own ops: fused C++/CUDA kernels, each with a plain-torch reference beside it.

An op file reads public function -> reference -> fake kernels -> autograd -> CASES, and adding one is adding
one file here (plus its kernels under csrc/): `discover` finds it for the tests and the benchmarks.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastgan.ops._native import backend, build_info, reference
from fastgan.ops.adain import adain, adain_reference
from fastgan.ops.bias_act import bias_act, bias_act_reference
from fastgan.ops.cases import Case, Maker
from fastgan.ops.gradient_penalty import gradient_penalty, gradient_penalty_reference
from fastgan.ops.interpolate import interpolate, interpolate_reference
from fastgan.ops.resample import (
    downsample2x,
    downsample2x_reference,
    upsample2x,
    upsample2x_reference,
)
from fastgan.ops.style_epilogue import style_epilogue, style_epilogue_reference

__all__ = [
    "Case",
    "Maker",
    "Op",
    "adain",
    "adain_reference",
    "backend",
    "bias_act",
    "bias_act_reference",
    "build_info",
    "discover",
    "downsample2x",
    "downsample2x_reference",
    "gradient_penalty",
    "gradient_penalty_reference",
    "interpolate",
    "interpolate_reference",
    "reference",
    "style_epilogue",
    "style_epilogue_reference",
    "upsample2x",
    "upsample2x_reference",
]


@dataclass(frozen=True, kw_only=True)
class Op:
    """One public op as tests and benchmarks see it."""

    name: str
    public: Callable[..., Any]
    reference: Callable[..., Any]
    cases: list[Case]


def discover() -> Iterator[Op]:
    """Yield every op that a file of this folder declares in its CASES."""
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        for name, cases in getattr(module, "CASES", {}).items():
            yield Op(
                name=name,
                public=getattr(module, name),
                reference=getattr(module, f"{name}_reference"),
                cases=cases,
            )
