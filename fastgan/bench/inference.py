"""Generating images: latents in, uint8 pixels out, on random weights (which do not change the time).

- `plain`: the generator in eager torch, fp32, NCHW, with the best eager compositions for ops.
- `onnxruntime`: what `fastgan export --onnx` writes, on the same device and number of threads.
- `compile`: the generator under torch.compile, channels_last (only with `--compile`).
- `fastgan fp32`, `fastgan bf16`: what `fastgan generate` runs, the latter where the device has fast bf16.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastgan import models, ops
from fastgan.bench import eager, train
from fastgan.bench.timing import Contender, Settings, measure, throughput_row
from fastgan.config import build
from fastgan.export.graph import build as build_onnx
from fastgan.export.onnx import OPSET
from fastgan.inference import latents
from fastgan.inference.facts import Facts
from fastgan.inference.torch_runtime import TorchRuntime, to_uint8
from fastgan.nn import bake
from fastgan.nn.precision import has_fast_bf16

if TYPE_CHECKING:
    from fastgan.bench.suite import Request

Generate = Callable[[NDArray[np.float32]], NDArray[np.uint8]]


def batches(device: str, *, quick: bool) -> tuple[int, ...]:
    """Batch sizes to measure: one image, and enough to fill the device."""
    if device.startswith("cuda"):
        return (64,) if quick else (1, 16, 64, 256)
    return (16,) if quick else (1, 16)


def _generator(case: train.Case) -> Any:
    options = dict(case.config().model)
    module = models.load(options.pop("name"))
    torch.manual_seed(0)
    return module.Generator(build(module.Config, options, "model")).eval()


def _facts(case: train.Case, generator: Any) -> Facts:
    return Facts(
        source="random weights",
        model=case.preset,
        resolution=generator.config.resolution,
        img_channels=generator.config.img_channels,
        z_dim=generator.z_dim,
        has_truncation=generator.has_truncation,
        cur_nimg=None,
        data_hash=None,
        fingerprint="",
    )


def _torch(generator: Callable[..., Tensor], device: torch.device, run_in: Callable[[], Any]) -> Generate:
    """Eager torch (or a compiled module) within a context."""

    def generate(z: NDArray[np.float32]) -> NDArray[np.uint8]:
        with torch.inference_mode(), run_in():
            pixels: NDArray[np.uint8] = to_uint8(generator(torch.from_numpy(z).to(device))).cpu().numpy()
        return pixels

    return generate


def _onnxruntime(generator: nn.Module, facts: Facts, device: torch.device, batch: int) -> Generate | None:
    """The exported graph; None where ONNX Runtime cannot run on the device, for then there is nothing to compare."""
    import onnxruntime

    from fastgan.inference.onnx_runtime import OnnxRuntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    name = "CUDAExecutionProvider" if device.type == "cuda" else "CPUExecutionProvider"
    if name not in onnxruntime.get_available_providers():
        return None
    model = build_onnx(bake(generator), opset=OPSET).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=[name])
    if session.get_providers()[0] != name:
        return None
    return OnnxRuntime(session, facts, batch=batch).generate


@contextmanager
def _compiled_context(device: torch.device, dtype: str) -> Iterator[None]:
    with ops.reference(), torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bf16"):
        yield


def contenders(case: train.Case, device: torch.device, batch: int, *, compiled: bool) -> dict[str, Generate]:
    """Every way of generating, by name; `plain` first."""
    generator = _generator(case)
    facts = _facts(case, generator)
    fast = "bf16" if has_fast_bf16(device) else "fp32"
    found: dict[str, Generate] = {"plain": _torch(_generator(case).to(device), device, eager.as_ops)}
    exported = _onnxruntime(generator, facts, device, batch)
    if exported is not None:
        found["onnxruntime"] = exported
    if compiled:
        torch._dynamo.reset()
        network: Any = bake(generator)
        network.to(device, memory_format=torch.channels_last)
        found[f"compile {fast}"] = _torch(
            torch.compile(network, dynamic=False), device, partial(_compiled_context, device, fast)
        )
    for dtype in dict.fromkeys(("fp32", fast)):
        runtime = TorchRuntime(generator, facts, device=device, batch=batch, precision=dtype)
        found[f"fastgan {dtype}"] = runtime.generate
    return found


def ask(case: train.Case, device: str, batch: int, timing: Settings, *, compiled: bool) -> dict[str, Any]:
    """Measure one model at one batch size; returns what goes into the JSON."""
    found = contenders(case, torch.device(device), batch, compiled=compiled)
    z = latents(range(batch), _generator(case).z_dim)
    runs = [Contender(name=name, call=partial(run, z), units=batch) for name, run in found.items()]
    row = throughput_row(measure(runs, timing), baseline="plain")
    return {"model": case.name, "batch": batch, **row}


def run(
    request: "Request", device: str, timing: Settings, progress: Callable[[str], None] = lambda _: None
) -> list[dict[str, Any]]:
    """Measure every case for the device at every batch size."""
    rows = []
    for case in train.cases(device, request.models):
        for batch in batches(device, quick=request.quick):
            progress(f"inference {case.name}, batch {batch}")
            rows.append(ask(case, device, batch, timing, compiled=request.compiled))
    return rows
