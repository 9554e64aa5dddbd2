"""Open whatever fastgan wrote that can generate.

Adding a runtime is adding a file NAME_runtime.py here with a function
`open_model(path, *, device, batch, precision, lanes) -> Runtime`, and its suffix below.
"""

import importlib
import os

from fastgan import arguments
from fastgan.errors import CheckpointError, ConfigError
from fastgan.inference import hub
from fastgan.inference.precisions import PRECISIONS
from fastgan.inference.runtime import Runtime
from fastgan.naming import named
from fastgan.text import quoted

RUNTIMES = ("torch", "onnx")
_MOST = 10_000_000  # images at once; memory decides long before
_BY_SUFFIX = {".onnx": "onnx"}  # everything else that fastgan writes is opened by torch


def open_generator(
    path: str | os.PathLike[str],
    *,
    runtime: str = "auto",
    device: str = "auto",
    batch: int | None = None,
    precision: str | None = None,
    lanes: int = 1,
    ema: float | None = None,
) -> Runtime:
    """Open a run folder, a checkpoint folder, a release .safetensors, or an exported .onnx for generating.

    path: also an address on the Hugging Face Hub, hf://user/name, hf://user/name@revision or hf://user/name/path/file
    (needs `pip install huggingface_hub`): its .safetensors or .onnx is fetched, once, and checked as any file is.
    runtime: "auto" takes ONNX Runtime for an .onnx file and torch for the rest. device: "auto" (a GPU if there is
    one), "cpu", "cuda" or "cuda:N"; for an .onnx file also "tensorrt" or "tensorrt:N". batch: images a run; by default
    16 on a CPU and 64 on a GPU, fewer for large images. precision: "fp32", by default, or "bf16", which is faster on
    processors that have it; an exported file runs in the precision it was exported in, fp32, fp16 or int8. lanes:
    batches to run side by side on a CPU, each on one core, which makes more images a second where many are wanted; 1:
    each batch on all cores, which makes a single one sooner. ema: the average of that half-life in kimg, of a run that
    keeps several; by default the first.
    Raises CheckpointError for a path that is missing, broken or not ours (HubError, one of them, where the Hub has or
    gives no such model), ConfigError for impossible settings.
    """
    source = hub.fetched(arguments.path(path, "path"))
    fitting = _BY_SUFFIX.get(source.suffix.lower(), "torch")
    arguments.one_of(runtime, "runtime", ("auto", *RUNTIMES))
    if runtime not in ("auto", fitting):
        mend = (
            f"leave {named('runtime')} away, or generate from the run that {source.name} was exported from"
            if fitting == "onnx"
            else f"export it first: fastgan export {quoted(source)} --onnx model.onnx"
        )
        raise ConfigError(f"{source} cannot be run by the {runtime} runtime; {mend}.")
    if precision is not None:
        arguments.one_of(precision, "precision", PRECISIONS)
    if batch is not None:
        batch = arguments.whole_number(batch, "batch", 1, _MOST)
    lanes = arguments.whole_number(lanes, "lanes", 1, _MOST)
    if ema is not None:
        ema = arguments.real_number(ema, "ema", 0, 1e12)
    if not source.exists():
        raise CheckpointError(f"{source} does not exist: give a run folder, a checkpoint or an .onnx file.")
    module = importlib.import_module(f"fastgan.inference.{fitting}_runtime")
    if ema is not None and fitting == "onnx":
        raise ConfigError(
            f"{source} holds one average of the generator: leave {named('ema')} away, or generate from "
            "the run."
        )
    options = {} if ema is None else {"ema": ema}
    opened: Runtime = module.open_model(
        source, device=device, batch=batch, precision=precision, lanes=lanes, **options
    )
    return opened
