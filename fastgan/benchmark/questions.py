"""What the op benchmark asks: which ops, on which shapes, dtypes and layouts, forward alone or with backward.

Inputs come from what an op's arguments are called, so a new op that speaks the same language (x, scale, bias,
noise, ...) is measured without being listed anywhere; its baselines are what `bench.eager` has for it, else
its own reference.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from fastgan import ops
from fastgan.benchmark import eager
from fastgan.benchmark.timing import Settings

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
PASSES = ("forward", "both")  # "both": forward and backward
ACTIVATIONS = ((16, 512, 16, 16), (16, 256, 64, 64), (16, 64, 128, 128), (4, 32, 256, 256))
IMAGES = ((16, 3, 64, 64), (16, 3, 128, 128), (4, 3, 256, 256))  # what a penalty sees

Shape = tuple[int, ...]


class _Maker:
    """Random inputs, drawn on the device: the tests' `ops.Maker` draws float64 on the CPU, slow at these sizes."""

    def __init__(self, device: str, dtype: torch.dtype, layout: torch.memory_format, seed: int) -> None:
        self._rng = torch.Generator(device).manual_seed(seed)
        self._dtype, self._layout = dtype, layout

    def _normal(self, shape: Shape) -> Tensor:
        return torch.randn(shape, generator=self._rng, device=self._rng.device)

    def image(self, *shape: int) -> Tensor:
        """An activation [N, C, H, W] in the question's dtype and layout."""
        return self._normal(shape).to(self._dtype).contiguous(memory_format=self._layout)

    def parameter(self, *shape: int) -> Tensor:
        """A small parameter, float32 as in training."""
        return 0.5 * self._normal(shape)

    def uniform(self, *shape: int) -> Tensor:
        """Values in [0, 1), float32."""
        return torch.rand(shape, generator=self._rng, device=self._rng.device)


_ARGUMENTS: dict[str, Callable[[_Maker, Shape], Tensor]] = {
    "x": lambda make, s: make.image(*s),
    "scale": lambda make, s: make.parameter(*s[:2]),
    "shift": lambda make, s: make.parameter(*s[:2]),
    "bias": lambda make, s: make.parameter(s[1]),
    "strength": lambda make, s: make.parameter(s[1]),
    "noise": lambda make, s: make.image(s[0], 1, *s[2:]),
    "real": lambda make, s: make.image(*s),
    "fake": lambda make, s: make.image(*s),
    "grad": lambda make, s: make.image(*s),
    "t": lambda make, s: make.uniform(s[0]),
}
_NO_GRADIENT = ("noise", "real", "fake", "t")  # training never asks for these


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure. `names` empty means every op, `shapes` empty the first `most_shapes` of this file's."""

    device: str = "cpu"
    names: Sequence[str] = ()
    shapes: Sequence[Shape] = ()
    most_shapes: int | None = None
    dtypes: Sequence[str] = ("fp32", "bf16")
    layouts: Sequence[str] = ("nchw", "nhwc")
    passes: Sequence[str] = PASSES
    compiled: bool = False
    timing: Settings = field(default_factory=Settings)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One row: an op at one shape, dtype, layout and pass."""

    op: ops.Op
    shape: Shape
    dtype: str
    layout: str
    pass_: str

    @property
    def arguments(self) -> list[str]:
        """Names of the op's tensor arguments, in order."""
        parameters = inspect.signature(self.op.reference).parameters.values()
        return [p.name for p in parameters if p.default is inspect.Parameter.empty]

    def inputs(self, device: str, seed: int) -> list[Tensor]:
        """Fresh random inputs; those that training differentiates require grad when the pass is "both"."""
        make = _Maker(device, DTYPES[self.dtype], LAYOUTS[self.layout], seed)
        made = [_ARGUMENTS[name](make, self.shape) for name in self.arguments]
        for name, tensor in zip(self.arguments, made, strict=True):
            tensor.requires_grad_(self.pass_ == "both" and name not in _NO_GRADIENT)
        return made

    def contenders(self) -> dict[str, Callable[..., Any]]:
        """Ours and the eager baselines; the names of the latter start with `eager:`."""
        compositions = eager.compositions(self.op.name) or {"reference": self.op.reference}
        return {"ours": self.op.public} | {f"eager:{name}": f for name, f in compositions.items()}


def questions(plan: Plan) -> Iterator[Question]:
    """Every row of the plan, for the ops whose arguments are known here."""
    for op in ops.discover():
        if plan.names and op.name not in plan.names:
            continue
        probe = Question(op=op, shape=(), dtype="fp32", layout="nchw", pass_="forward")
        if not set(probe.arguments) <= _ARGUMENTS.keys():
            continue
        usual = ACTIVATIONS if "x" in probe.arguments else IMAGES
        trainable = any(name not in _NO_GRADIENT for name in probe.arguments)
        for shape in plan.shapes or usual[: plan.most_shapes]:
            for dtype in plan.dtypes:
                for layout in plan.layouts:
                    for pass_ in plan.passes:
                        if trainable or pass_ == "forward":
                            yield replace(probe, shape=shape, dtype=dtype, layout=layout, pass_=pass_)
