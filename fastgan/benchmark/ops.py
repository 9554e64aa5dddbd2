"""Ops: ours against the best eager composition, torch.compile, and the memory-copy floor, in turns.

Every contender is checked against the reference in float64 before it is timed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fastgan.benchmark import eager
from fastgan.benchmark.compiled import Compiled, compiled
from fastgan.benchmark.costs import Cost, cost
from fastgan.benchmark.questions import Plan, Question, questions
from fastgan.benchmark.timing import Contender, Measured, Settings, captured, measure

# A wrong formula is off by far more; the parity tests are strict.
TOLERANCE = {"fp32": 1e-4, "bf16": 3e-2, "fp16": 4e-3}


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


def _input_sets(question: Question, device: str) -> list[list[Tensor]]:
    """On a GPU as many sets of inputs as the L2 cannot hold, so that every call reads memory; one on a CPU.

    A CPU's cache is as warm for us as for the baselines and for the copy that is the floor, and in a network
    the inputs have just been written, too.
    """
    first = question.inputs(device, seed=0)
    if not device.startswith("cuda"):
        return [first]
    l2 = torch.cuda.get_device_properties(device).L2_cache_size
    size = sum(tensor.numel() * tensor.element_size() for tensor in first)
    count = min(32, math.ceil(2 * l2 / size) + 1)
    copies = [[t.detach().clone().requires_grad_(t.requires_grad) for t in first] for _ in range(count - 1)]
    return [first, *copies]


def _contender(name: str, run: Callable[..., Any], sets: list[list[Tensor]], cotangent: Tensor) -> Contender:
    calls = [partial(_run, run, inputs, cotangent) for inputs in sets]
    return captured(calls, name) if cotangent.is_cuda else Contender(name=name, call=calls[0])


def _copy(cost_: Cost, sets: int, device: str) -> Contender:
    """The floor: a plain copy that moves the op's bytes through as much memory as the op's tensors take.

    Source and destination are half the footprint each, and what both passes of the op read is copied twice. All of
    it is there before the clock starts, and the dtype is the one that torch copies as bytes, whatever the op's.
    """

    def call() -> Callable[[], object]:
        source, target = (
            torch.ones(max(cost_.footprint // 2, 1), dtype=torch.uint8, device=device) for _ in range(2)
        )
        again = (cost_.moved - cost_.footprint) // 2

        def copy() -> Tensor:
            target.copy_(source)
            if again:
                target[:again].copy_(source[:again])
            return target

        return copy

    calls = [call() for _ in range(sets)]
    return captured(calls, "copy") if device.startswith("cuda") else Contender(name="copy", call=calls[0])


def _preselected(contenders: list[Contender], usual: Sequence[str], settings: Settings) -> list[Contender]:
    """The eager baselines that may be the fastest, and the fastest of the `usual` ones; the rest eats the budget.

    One call each finds those that are far off, a short trial the ones to measure.
    """

    def within(factor: float, candidates: list[Contender], trial: Settings) -> list[Contender]:
        times = measure(candidates, trial)
        best = min(times.time(c.name).median for c in candidates)
        ordinary = [c.name for c in candidates if c.name in usual]
        kept = times.fastest(ordinary) if ordinary else None
        return [c for c in candidates if c.name == kept or times.time(c.name).median <= factor * best]

    if len(contenders) < 2:
        return contenders
    glance = replace(settings, warmup=1, min_rounds=1, max_rounds=1, block_s=0.0)
    contenders = within(1.6, contenders, glance)
    return within(1.1, contenders, replace(glance, min_rounds=3, max_rounds=3, block_s=settings.block_s / 4))


def ask(question: Question, plan: Plan) -> dict[str, Any]:
    """Measure one row; see `questions`. Returns what goes into the JSON."""
    errors = check(question, plan.device)
    sets = _input_sets(question, plan.device)
    cotangent = _cotangent(question, sets[0])
    functions = question.contenders()
    ours = _contender("ours", functions.pop("ours"), sets, cotangent)
    baselines = [_contender(name, run, sets, cotangent) for name, run in functions.items()]
    usual = [f"eager:{name}" for name in eager.USUAL.get(question.op.name, ())]
    cost_ = cost(
        question.op.name,
        dict(zip(question.arguments, sets[0], strict=True)),
        cotangent,
        backward=question.pass_ == "both",
    )
    contenders = [ours, *_preselected(baselines, usual, plan.timing), _copy(cost_, len(sets), plan.device)]
    built = None
    if plan.compiled:
        built = compiled(question.op.reference, lambda run: _run(run, sets[0], cotangent))
        if built.run is not None:
            contenders.append(_contender("compile", built.run, sets, cotangent))
    return _row(question, measure(contenders, plan.timing), usual, cost_, errors, built)


def _row(
    question: Question,
    measured: Measured,
    usual: Sequence[str],
    cost_: Cost,
    errors: dict[str, float],
    built: Compiled | None,
) -> dict[str, Any]:
    baselines = [name for name in measured.seconds if name.startswith("eager:")]
    against = {"eager": measured.fastest(baselines)}
    if ordinary := [name for name in baselines if name in usual]:
        against["usual"] = measured.fastest(ordinary)
    if "compile" in measured.seconds:
        against["compile"] = "compile"
    return {
        "op": question.op.name,
        "shape": list(question.shape),
        "dtype": question.dtype,
        "layout": question.layout,
        "pass": question.pass_,
        "threads": torch.get_num_threads(),
        "seconds": {name: measured.time(name).to_json() for name in measured.seconds},
        "best_eager": against["eager"].removeprefix("eager:"),
        "usual_eager": against.get("usual", against["eager"]).removeprefix("eager:"),
        "speedup": {name: measured.speedup("ours", over).to_json() for name, over in against.items()},
        "bytes": cost_.moved,
        "footprint": cost_.footprint,
        "flops": cost_.flops,
        "floor_s": measured.time("copy").to_json()["median"],
        "over_floor": measured.speedup("copy", "ours").to_json(),
        "error": {name: float(f"{error:.2g}") for name, error in errors.items()},
        **({"compile_s": built.seconds} if built else {}),
        **({"compile_error": built.error} if built and built.error else {}),
    }


def run(
    plan: Plan,
    report: Callable[[str], None] = lambda _: None,
    keep: Callable[[dict[str, Any]], None] = lambda _: None,
    skip: Callable[[Question], bool] = lambda _: False,
) -> list[dict[str, Any]]:
    """Measure every row of the plan; `report` is told what is being measured.

    keep: is given every row as soon as it is there; skip: says which need not be measured.
    """
    rows = []
    for question in questions(plan):
        if skip(question):
            continue
        shape = "x".join(map(str, question.shape))
        report(f"{question.op.name} {shape} {question.dtype} {question.layout} {question.pass_}")
        rows.append(ask(question, plan))
        keep(rows[-1])
        if plan.device.startswith("cuda"):
            torch.cuda.empty_cache()  # each captured graph had a memory pool of its own
    return rows
