"""Ops: ours against the best eager composition, torch.compile, and the memory-copy floor.

Inputs come from what an op's arguments are called, so a new op that speaks the same language (x, scale, bias,
noise, ...) is measured without being listed anywhere; its baselines are what `bench.eager` has for it, else
its own reference. Every contender is checked against the reference in float64 before it is timed.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fastgan import ops
from fastgan.bench import eager
from fastgan.bench.timing import Contender, Measured, Settings, Spread, captured, measure

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
PASSES = ("forward", "both")  # "both": forward and backward
ACTIVATIONS = ((16, 512, 16, 16), (16, 256, 64, 64), (16, 64, 128, 128), (4, 32, 256, 256))
IMAGES = ((16, 3, 64, 64), (16, 3, 128, 128), (4, 3, 256, 256))  # what a penalty sees
TOLERANCE = {
    "fp32": 1e-4,
    "bf16": 3e-2,
    "fp16": 4e-3,
}  # a wrong formula is off by far more; parity tests are strict

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
_LINEAR = ("upsample2x", "downsample2x")  # their backward does not read the forward's activation again


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


def _run(function: Callable[..., Any], inputs: Sequence[Tensor], cotangent: Tensor) -> tuple[Tensor, ...]:
    """Run forward, or forward and backward if an input requires grad; returns output or gradients."""
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    if wanted:
        return torch.autograd.grad(function(*inputs), wanted, cotangent)
    with torch.no_grad():
        return (function(*inputs),)


def _cotangent(question: Question, inputs: Sequence[Tensor]) -> Tensor:
    """A random gradient of the shape, dtype and layout of the op's result."""
    with torch.no_grad():
        return torch.randn_like(question.op.public(*inputs))


def check(question: Question, device: str) -> dict[str, float]:
    """Relative error of every contender against the reference in float64, on a batch of at most 2.

    Raises RuntimeError when ours is beyond the tolerance and beyond twice the best baseline's own error: a
    fast wrong answer is not worth a number.
    """
    small = replace(question, shape=(min(2, question.shape[0]), *question.shape[1:]))
    inputs = small.inputs(device, seed=7)
    cotangent = _cotangent(small, inputs)
    exact_inputs = [t.detach().double().requires_grad_(t.requires_grad) for t in inputs]
    exact = _run(small.op.reference, exact_inputs, cotangent.double())
    errors = {}
    for name, function in small.contenders().items():
        results = zip(_run(function, inputs, cotangent), exact, strict=True)
        errors[name] = max(float((a.double() - b).norm() / b.norm()) for a, b in results)
    allowed = max(TOLERANCE[small.dtype], 2 * min(error for name, error in errors.items() if name != "ours"))
    if not errors["ours"] <= allowed:  # NaN is wrong, too
        raise RuntimeError(
            f"{small} gives a wrong result: relative error {errors['ours']:.2g} > {allowed:.2g}."
        )
    return errors


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def bytes_to_move(question: Question, inputs: Sequence[Tensor], output: Tensor) -> int:
    """The fewest bytes memory must carry: each input read once, each result written once.

    The backward pass reads the output's gradient and, unless the op is linear, the inputs again, and writes
    the inputs' gradients.
    """
    moved = _bytes(inputs) + _bytes([output])
    if question.pass_ == "both":
        again = 0 if question.op.name in _LINEAR else _bytes(inputs)
        moved += _bytes([output]) + again + _bytes([t for t in inputs if t.requires_grad])
    return moved


def _input_sets(question: Question, device: str) -> list[list[Tensor]]:
    """On a GPU as many sets of inputs as the L2 cannot hold, so that every call reads memory; one on a CPU.

    A CPU's cache is as warm for us as for the baselines and for the copy that is the floor, and in a network
    the inputs have just been written, too.
    """
    first = question.inputs(device, seed=0)
    if not device.startswith("cuda"):
        return [first]
    l2 = torch.cuda.get_device_properties(device).L2_cache_size
    count = min(32, math.ceil(2 * l2 / _bytes(first)) + 1)
    copies = [[t.detach().clone().requires_grad_(t.requires_grad) for t in first] for _ in range(count - 1)]
    return [first, *copies]


def _contender(name: str, run: Callable[..., Any], sets: list[list[Tensor]], cotangent: Tensor) -> Contender:
    calls = [partial(_run, run, inputs, cotangent) for inputs in sets]
    return captured(calls, name) if cotangent.is_cuda else Contender(name=name, call=calls[0])


def _copy(sets: list[list[Tensor]]) -> Contender:
    """The floor: a plain copy of the op's first argument, out of and into memory that is there already."""
    sources = [inputs[0].detach() for inputs in sets]
    calls = [partial(torch.empty_like(source).copy_, source) for source in sources]
    return captured(calls, "copy") if sources[0].is_cuda else Contender(name="copy", call=calls[0])


def _preselected(contenders: list[Contender], settings: Settings) -> list[Contender]:
    """Drop eager baselines that a short trial shows to be far from the fastest: they would eat the budget."""
    if len(contenders) < 2:
        return contenders
    trial = measure(contenders, replace(settings, warmup=2, min_rounds=2, max_rounds=2, block_s=0.005))
    best = min(trial.time(c.name).median for c in contenders)
    return [c for c in contenders if trial.time(c.name).median < 1.5 * best]


def ask(question: Question, plan: Plan) -> dict[str, Any]:
    """Measure one row; see `questions`. Returns what goes into the JSON."""
    errors = check(question, plan.device)
    sets = _input_sets(question, plan.device)
    cotangent = _cotangent(question, sets[0])
    functions = question.contenders()
    ours = _contender("ours", functions.pop("ours"), sets, cotangent)
    baselines = [_contender(name, run, sets, cotangent) for name, run in functions.items()]
    contenders = [ours, *_preselected(baselines, plan.timing), _copy(sets)]
    if plan.compiled:
        torch._dynamo.reset()
        run = torch.compile(question.op.reference, dynamic=False, fullgraph=True)
        contenders.append(_contender("compile", run, sets, cotangent))
    measured = measure(contenders, plan.timing)
    moved = bytes_to_move(question, sets[0], cotangent)
    return _row(question, measured, moved, 2 * _bytes(sets[0][:1]), errors)


def _row(
    question: Question, measured: Measured, moved: int, copied: int, errors: dict[str, float]
) -> dict[str, Any]:
    best = measured.fastest([name for name in measured.seconds if name.startswith("eager:")])
    speedup = {"eager": measured.speedup("ours", best)}
    if "compile" in measured.seconds:
        speedup["compile"] = measured.speedup("ours", "compile")
    over_floor = measured.speedup("copy", "ours")  # how many copies of the first argument one call costs
    scale = copied / moved
    return {
        "op": question.op.name,
        "shape": list(question.shape),
        "dtype": question.dtype,
        "layout": question.layout,
        "pass": question.pass_,
        "seconds": {name: measured.time(name).to_json() for name in measured.seconds},
        "best_eager": best.removeprefix("eager:"),
        "speedup": {name: spread.to_json() for name, spread in speedup.items()},
        "bytes": moved,
        "over_floor": Spread(
            median=over_floor.median * scale,
            q1=over_floor.q1 * scale,
            q3=over_floor.q3 * scale,
            rounds=over_floor.rounds,
        ).to_json(),
        "error": {name: float(f"{error:.2g}") for name, error in errors.items()},
    }


def run(plan: Plan, report: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
    """Measure every row of the plan; `report` is told what is being measured."""
    rows = []
    for question in questions(plan):
        shape = "x".join(map(str, question.shape))
        report(f"{question.op.name} {shape} {question.dtype} {question.layout} {question.pass_}")
        rows.append(ask(question, plan))
        if plan.device.startswith("cuda"):
            torch.cuda.empty_cache()  # each captured graph had a memory pool of its own
    return rows
