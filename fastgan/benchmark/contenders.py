"""The ways of generating that are measured against each other.

- `eager fp32`: the generator in eager torch, fp32, NCHW, the best eager compositions in the place of our ops: what
  public StyleGAN scripts run, at their best.
- `compile`: the generator under torch.compile, channels_last, in the fastest precision (only with `--compile`).
- `onnx`: what `fastgan export --onnx` writes, on the same device and number of threads.
- `torch`: what `fastgan generate` runs; bf16 where the device has it in hardware.

The last two run as `generate` has them, a batch on each core side by side; where one image is asked for, on all cores.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastgan import ops
from fastgan.benchmark import eager
from fastgan.errors import FastganError
from fastgan.inference import Runtime, open_generator
from fastgan.inference.conditions import Request
from fastgan.inference.torch_runtime import load_model
from fastgan.nn import bake
from fastgan.nn.precision import has_fast_bf16
from fastgan.pixels import to_uint8
from fastgan.seeds import latents

EAGER = "eager fp32"
Generate = Callable[[Sequence[int]], NDArray[np.uint8]]
"""Seeds -> images, uint8 [n, H, W, C]."""


class Ask(NamedTuple):
    """A call, and for how many seeds it is."""

    generate: Generate
    images: int


class Contenders:
    """One model, opened in every way that there is for it here; an exported file only in its own."""

    def __init__(self, path: Path, device: str, folder: Path) -> None:
        """folder: for what is exported. Raises what `open_generator` does."""
        self.path = path
        self.device = torch.device(device)
        self.runtimes: dict[str, Runtime] = {}
        """By name, as "torch bf16"; side by side."""
        self.alone: dict[str, Runtime] = {}
        """The same, a run at a time."""
        self.exported: dict[str, Path] = {}
        """The files of those that have one."""
        self._generator: Any = None
        first = open_generator(path, device=device, batch=1)
        self.facts, self._conditions = first.facts, first.conditions
        if first.name == "torch":
            self._generator = load_model(path)[0]
            self._add(path)
            if has_fast_bf16(self.device):
                self._add(path, "bf16")
            self._export(folder)
        else:
            self._add(path)

    def _add(self, path: Path, precision: str | None = None) -> None:
        opened = partial(open_generator, path, device=str(self.device), batch=1, precision=precision)
        runtime = opened(lanes=torch.get_num_threads())
        name = f"{runtime.name} {runtime.precision}"
        self.runtimes[name] = runtime
        self.alone[name] = opened() if runtime.lanes > 1 else runtime
        if runtime.name == "onnx":
            self.exported[name] = path

    def _export(self, folder: Path) -> None:
        """Add ONNX Runtime, where it and the exporter are installed and it runs on the device."""
        try:
            import onnxruntime

            from fastgan.exporters import export_onnx
        except ImportError:
            return
        provider = "CUDAExecutionProvider" if self.device.type == "cuda" else "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():  # there is nothing to compare with
            return
        for precision in ("fp32", "fp16" if self.device.type == "cuda" else "int8"):
            file = folder / f"model-{precision}.onnx"
            try:
                # Random weights are coarser in 8 bits than trained ones, and just as fast.
                export_onnx(self.path, file, uint8=True, precision=precision, min_snr_db=0)
                self._add(file)
            except FastganError:  # it cannot be had in this precision, or not on this device
                continue

    def eager(self) -> Generate | None:
        """The baseline; None for an exported file, of which there is none."""
        if self._generator is None:
            return None
        return self._torch_module(load_model(self.path)[0].to(self.device), eager.as_ops)

    def compiled(self) -> tuple[str, Generate] | None:
        """torch.compile's, with its name."""
        if self._generator is None:
            return None
        fast = "bf16" if has_fast_bf16(self.device) else "fp32"
        torch._dynamo.reset()
        network: Any = bake(self._generator)
        network.to(self.device, memory_format=torch.channels_last)
        run = torch.compile(network, dynamic=False)
        return f"compile {fast}", self._torch_module(run, partial(_compiled_context, self.device, fast))

    def _torch_module(self, generator: Callable[..., Tensor], run_in: Callable[[], Any]) -> Generate:
        def generate(seeds: Sequence[int]) -> NDArray[np.uint8]:
            z = torch.from_numpy(latents(seeds, self.facts.z_dim)).to(self.device)
            c = self._conditions(seeds, Request())
            conditions = [] if c is None else [torch.from_numpy(c).to(self.device)]
            with torch.inference_mode(), run_in():
                pixels: NDArray[np.uint8] = to_uint8(generator(z, *conditions)).cpu().numpy()
            return pixels

        return generate

    def runtime(self, name: str, batch: int) -> Runtime:
        """A runtime at a batch size."""
        runtime = self.runtimes[name]
        runtime.batch = runtime.fits = batch
        return runtime

    def fastest(self, batch: int) -> str:
        """The name of the fastest runtime, by the better of two runs after a first."""

        def seconds(name: str) -> float:
            runtime, taken = self.runtime(name, batch), []
            for _ in range(3):
                began = time.perf_counter()
                runtime.images(range(batch * runtime.lanes), Request())
                taken.append(time.perf_counter() - began)
            return min(taken[1:])

        return min(self.runtimes, key=seconds)

    def every(self, batch: int, *, compiled: bool) -> dict[str, Ask]:
        """All by name, the baseline first: calls for a batch, or one a lane, and the images that they make."""
        found = {name: Ask(run, batch) for name, run in self._usual(compiled=compiled).items()}
        for name, runtime in self.runtimes.items():
            found[name] = Ask(partial(self._generate, name, batch), batch * runtime.lanes)
        return found

    def each_alone(self) -> dict[str, Generate]:
        """All by name, the baseline first, for an image at a time."""
        ours = {name: partial(runtime.images, request=Request()) for name, runtime in self.alone.items()}
        return self._usual(compiled=False) | ours

    def _usual(self, *, compiled: bool) -> dict[str, Generate]:
        found: dict[str, Generate] = {}
        baseline = self.eager()
        if baseline is not None:
            found[EAGER] = baseline
        made = self.compiled() if compiled else None
        if made is not None:
            found[made[0]] = made[1]
        return found

    def _generate(self, name: str, batch: int, seeds: Sequence[int]) -> NDArray[np.uint8]:
        return self.runtime(name, batch).images(seeds, Request())


@contextmanager
def _compiled_context(device: torch.device, dtype: str) -> Iterator[None]:
    with ops.reference(), torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bf16"):
        yield
