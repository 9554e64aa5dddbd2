"""`fastgan bench` as a function: which sections to measure, where, how long; returns one JSON-able document."""

import importlib
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fastgan import allocator, ops
from fastgan.benchmark import ops as bench_ops
from fastgan.benchmark import questions, report, sources
from fastgan.benchmark.request import Request
from fastgan.benchmark.timing import Settings
from fastgan.device import choose
from fastgan.errors import ConfigError
from fastgan.machine import at_most, require_memory

_COPIES = 40
"""Bytes for each number of a shape: inputs, gradients, what autograd keeps, and what a contender composes"""


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads for torch, and for ONNX Runtime's sessions; as many as before afterwards."""
    before, asked = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(count)
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        os.environ.pop("OMP_NUM_THREADS")
        os.environ |= {"OMP_NUM_THREADS": asked} if asked is not None else {}


def timing(request: Request, device: str, *, section: str) -> Settings:
    """One thread on a CPU is timed by CPU time; ops on a GPU by device events; everything else by the wall."""
    cuda = device.startswith("cuda")
    clock = "cpu" if not cuda and request.threads == 1 else "wall"
    if cuda and section == "ops":
        clock = "device"
    budget = request.budget_s or (0.3 if request.quick else 1.0) * (1 if section == "ops" else 8)
    # Two of its contenders may be ten times apart: the budget, not a number of rounds, says how long to go on.
    rounds = 3 if section == "inference" else 5 if request.quick else 7 if section == "ops" else 11
    block = 0.002 if cuda and section == "ops" else 0.02
    warmup = 2 if section == "inference" else 3
    return Settings(
        clock=clock,
        device=device,
        warmup=warmup,
        budget_s=budget,
        min_rounds=rounds,
        block_s=block,
        settle_s=0.02 if section == "inference" else 0.0,
    )


def ops_plan(request: Request, device: str) -> questions.Plan:
    """What the ops section asks; ConfigError for an op that there is not."""
    known = [op.name for op in ops.discover()]
    for name in request.names:
        if name not in known:
            raise ConfigError(f"there is no op {name!r}: choose from {', '.join(known)}.")
    for shape in request.shapes if device == "cpu" else ():
        size = math.prod(shape)
        require_memory(
            _COPIES * size,
            f"measuring the shape {shape}",
            f"take one of at most {at_most(_COPIES):,} numbers",
        )
    return questions.Plan(
        device=device,
        names=request.names,
        shapes=request.shapes,
        most_shapes=1 if request.quick else None,
        dtypes=request.dtypes or ("fp32", "bf16"),
        layouts=request.layouts or ("nchw", "nhwc"),
        passes=request.passes or questions.PASSES,
        compiled=request.compiled,
        timing=timing(request, device, section="ops"),
    )


def run(
    request: Request,
    progress: Callable[[str], None] = lambda _: None,
    keep: Callable[[dict[str, Any]], None] = lambda _: None,
    skip: Callable[[questions.Question], bool] = lambda _: False,
) -> dict[str, Any]:
    """Measure the sections; `progress` hears what is being measured. The result goes into a JSON file as it is.

    keep: is given the document so far after each row of the ops; skip: says which of their rows to leave out.
    """
    # Large results would be mapped anew at each call, and both sides of every ratio drown in the page faults.
    kept_memory = "tuned" if allocator.keep_memory() else "default"
    device = str(choose(request.device))
    if not {"train", "inference"}.isdisjoint(request.sections):
        sources.check(device, request.models, request.sources)
    document: dict[str, Any] = {"sections": {}}
    with threads(request.threads):
        document = {**report.header(device), "allocator": kept_memory, "sections": {}}
        for section in request.sections:
            settings = timing(request, device, section=section)
            content = {"clock": settings.clock, "quick": request.quick, "rows": []}
            document["sections"][section] = content
            if section == "ops":

                def kept(row: dict[str, Any], content: dict[str, Any] = content) -> None:
                    content["rows"].append(row)
                    keep(document)

                bench_ops.run(ops_plan(request, device), progress, kept, skip)
            else:
                module = importlib.import_module(f"fastgan.benchmark.{section}")
                content["rows"] = module.run(request, device, settings, progress)
    return document
