"""An exported file as a model of NVIDIA's Triton Inference Server, which batches the requests of many callers.

    DIR/NAME/config.pbtxt
    DIR/NAME/1/model.onnx       a folder of that name where weights lie in a file beside: model.onnx, model.onnx.data

Triton batches along the first dimension: every input must have it, and its ONNX Runtime backend refuses optional inputs
of a model that is batched. So this graph takes

    z               float32 [batch, z_dim]     standard normal
    label           int64 [batch]              on the wire [batch, 1]; only where the model takes classes
    attributes      float32 [batch, A]         NaN: unknown; only where the model takes attributes
    truncation_psi  float32 [batch, 1]         each image's own, 1 for none; only where the model has truncation

and gives images uint8 [batch, H, W, C]; noise and the truncated layers are the model's own.

The fields of config.pbtxt are those of model_config.proto (triton-inference-server/common); what the backend asks of
them is in docs/user_guide/model_configuration.md (triton-inference-server/server) and in `ValidateInputs` of
src/onnxruntime.cc (triton-inference-server/onnxruntime_backend). No preferred batch sizes: docs/user_guide/batcher.md
advises against them but for TensorRT's profiles.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from fastgan.errors import CheckpointError, OutputError
from fastgan.files import atomic_folder, open_regular, plain_path
from fastgan.inference import onnx_digest
from fastgan.inference.conditions import Conditions
from fastgan.inference.onnx_header import read_header
from fastgan.inference.onnx_runtime import GRAPH_INPUTS, OnnxRuntime, open_model
from fastgan.inference.onnx_session import open_session
from fastgan.inference.runtime import default_batch
from fastgan.naming import named
from fastgan.seeds import latents
from fastgan.text import shown

QUEUE_MICROSECONDS = 1000
"""How long a request waits for others to share a batch with: little beside the milliseconds that an image takes."""
PART = "triton"
"""What `fastgan.part` of the file says."""
_PSI = "truncation_psi"
_SETTINGS = "config.pbtxt"
_TYPES: dict[int, str] = {
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.INT64: "TYPE_INT64",
    TensorProto.UINT8: "TYPE_UINT8",
}


def write_repository(
    source: str | os.PathLike[str],
    repository: str | os.PathLike[str],
    *,
    name: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the exported file `source` (any precision) as the model `name` (by default its own) of `repository`.

    Returns the model's folder, which appears only when its graph gives the images that `source` gives. Raises
    CheckpointError where `source` is not a whole exported model, OutputError where the folder is there already or
    cannot be written.
    """
    path = Path(source)
    target = Path(repository) / (name or path.stem)
    check_target(target, path, overwrite=overwrite)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: give what fastgan export --onnx wrote.")
    part = _said(read_header(path)).get("fastgan.part", "whole")
    if part != "whole":
        raise CheckpointError(f"{path} is the {part} of a model alone: export the whole one for Triton.")
    runtime = open_model(path, device="cpu", batch=None, precision=None)
    with open_regular(path) as opened:
        model = onnx.load_model_from_string(opened.read())
    data = {
        entry.value for t in model.graph.initializer for entry in t.external_data if entry.key == "location"
    }
    batched(model, runtime)
    try:
        with atomic_folder(target) as temporary:
            file = temporary / "1" / "model.onnx"
            if data:
                file = file / "model.onnx"
            file.parent.mkdir(parents=True)
            for beside in data:
                shutil.copyfile(path.with_name(Path(beside).name), file.with_name(Path(beside).name))
            onnx.save_model(model, file)
            onnx_digest.seal(file, [file.with_name(Path(beside).name) for beside in data])
            with plain_path(file) as plain:
                onnx.checker.check_model(plain, full_check=True)
            _verify(file, runtime)
            (temporary / _SETTINGS).write_text(_config(target.name, model, runtime), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"cannot write {target} ({error.strerror or error}): make room or choose another place."
        ) from error
    return target


def check_target(target: Path, source: Path, *, overwrite: bool) -> None:
    """Fail before the work rather than after it; only a model of Triton's that is not `source` is ever replaced."""
    if shown(target.name) != target.name:  # it stands in config.pbtxt, and in the addresses of requests
        raise OutputError(
            f"{shown(target.name)} cannot be the name of a model for Triton: give {named('target')} a plain one."
        )
    if target.is_dir() and source.resolve().is_relative_to(target.resolve()):
        raise OutputError(f"{target} holds {source}, which is being read: choose another place.")
    if target.exists() and overwrite and not (target / _SETTINGS).is_file():
        raise OutputError(f"{target} is no model of Triton's, so it is not replaced: choose another place.")
    if target.exists() and not overwrite:
        raise OutputError(
            f"{target} is there already: choose another place, or give {named('overwrite')} to replace it."
        )
    parent = next(folder for folder in target.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(f"{target} cannot be made: {parent} is not a folder that you may write to.")


def batched(model: ModelProto, runtime: OnnxRuntime) -> None:
    """Make `model` the graph that the module's docstring describes, in place."""
    graph = model.graph
    defaults = {tensor.name for tensor in graph.initializer}
    has_psi = _PSI in defaults
    inputs = [value for value in graph.input if value.name not in defaults]
    del graph.input[:]
    graph.input.extend(inputs)
    if has_psi:
        _give_each_its_psi(model)
    if graph.output[0].type.tensor_type.elem_type != TensorProto.UINT8:
        _give_pixels(model)
    facts = runtime.facts
    shape: list[str | int | None] = ["batch", facts.resolution, facts.resolution, facts.img_channels]
    graph.output[0].CopyFrom(helper.make_tensor_value_info("images", TensorProto.UINT8, shape))
    # What was inferred where noise could have another batch and psi none would be wrong now; it is not needed.
    del graph.value_info[:]
    said = {"fastgan.pixels": "uint8 0..255", "fastgan.layout": "NHWC", "fastgan.part": PART}
    told = {
        key: value
        for key, value in _said(model).items()
        if key not in (onnx_digest.KEY, onnx_digest.DATA_KEY)
    }
    helper.set_model_props(model, told | said)


def _give_each_its_psi(model: ModelProto) -> None:
    """truncation_psi [batch, 1] in place of one number for all: against w [batch, layers, w_dim] as [batch, 1, 1]."""
    graph = model.graph
    own = next(k for k, tensor in enumerate(graph.initializer) if tensor.name == _PSI)
    del graph.initializer[own]
    each = f"{_PSI}_each"
    for node in graph.node:
        for k, name in enumerate(node.input):
            if name == _PSI:
                node.input[k] = each
    graph.input.append(helper.make_tensor_value_info(_PSI, TensorProto.FLOAT, ["batch", 1]))
    graph.initializer.append(helper.make_tensor(f"{each}_shape", TensorProto.INT64, [3], [-1, 1, 1]))
    graph.node.insert(0, helper.make_node("Reshape", [_PSI, f"{each}_shape"], [each], each))


def _give_pixels(model: ModelProto) -> None:
    """Append the rule of `fastgan.pixels.to_uint8` to a graph that gives float [batch, C, H, W]."""
    graph = model.graph
    for node in graph.node:
        for k, name in enumerate(node.output):
            if name == "images":
                node.output[k] = "pixels_of"
    constants = {"pixels_half": 127.5, "pixels_least": 0.0, "pixels_most": 255.0}
    for name, value in constants.items():
        graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
    graph.node.extend(
        [
            helper.make_node("Mul", ["pixels_of", "pixels_half"], ["pixels_scaled"], "pixels_scaled"),
            helper.make_node("Add", ["pixels_scaled", "pixels_half"], ["pixels_moved"], "pixels_moved"),
            helper.make_node(
                "Clip", ["pixels_moved", "pixels_least", "pixels_most"], ["pixels_clipped"], "pixels_clipped"
            ),
            helper.make_node("Round", ["pixels_clipped"], ["pixels_rounded"], "pixels_rounded"),
            helper.make_node(
                "Cast", ["pixels_rounded"], ["pixels_bytes"], "pixels_bytes", to=TensorProto.UINT8
            ),
            helper.make_node("Transpose", ["pixels_bytes"], ["images"], "images", perm=[0, 2, 3, 1]),
        ]
    )


def _verify(file: Path, runtime: OnnxRuntime) -> None:
    """OutputError unless the graph in `file` gives what `runtime` gives, each image with a psi of its own."""
    session = open_session(file, "cpu")
    for n in sorted({1, min(5, runtime.batch)}):
        seeds = range(n)
        c = runtime.conditions(seeds, runtime.request())
        feed: dict[str, NDArray[Any]] = {"z": latents(seeds, runtime.z_dim)}
        psi = np.ones((n, 1), np.float32)
        if runtime.has_truncation:
            psi[1::2], psi[2::4] = 0.5, -0.3
            feed[_PSI] = psi
        if c is not None:
            arrays = Conditions.decode(c, len(runtime.facts.class_names)).arrays()
            feed |= {GRAPH_INPUTS[key]: array for key, array in arrays.items()}
        expected = np.empty((n, runtime.resolution, runtime.resolution, runtime.img_channels), np.uint8)
        for value in np.unique(psi):
            rows = psi[:, 0] == value
            expected[rows] = runtime.generate(feed["z"], c, float(value))[rows]
        difference = np.abs(session.run(None, feed)[0].astype(np.int16) - expected).max()
        if difference > 1:
            raise OutputError(
                f"the graph for Triton differs from {runtime.facts.source} by {difference} grey levels (batch {n}; at "
                "most 1 is allowed), so nothing was written: please report this as a bug of fastgan."
            )


def _config(name: str, model: ModelProto, runtime: OnnxRuntime) -> str:
    """config.pbtxt: Triton's ModelConfig in protocol buffers' text format."""
    facts, graph = runtime.facts, model.graph
    most = default_batch(facts.resolution, gpu=True)
    names = {"class_names": facts.class_names, "attribute_names": facts.attribute_names}
    about = {key: json.dumps(value, ensure_ascii=False) for key, value in names.items() if value}
    about |= {"fastgan_model": facts.model, "fastgan_version": _said(model)["fastgan.version"]}
    return "\n".join(
        [
            f"name: {_quoted(name)}",
            'backend: "onnxruntime"',
            'default_model_filename: "model.onnx"',
            f"max_batch_size: {most}",
            *(f"input {{ {_tensor(value)} }}" for value in graph.input),
            *(f"output {{ {_tensor(value)} }}" for value in graph.output),
            f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_MICROSECONDS} }}",
            "instance_group { count: 1 kind: KIND_AUTO }",
            *(_warmup(graph.input, batch) for batch in sorted({1, most})),
            *(
                f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"
                for key, value in about.items()
            ),
            "",
        ]
    )


def _tensor(value: ValueInfoProto) -> str:
    """The dimensions after the batch; a tensor that has none has one of size 1 on the wire."""
    sides = [side.dim_value for side in value.type.tensor_type.shape.dim[1:]]
    shape = f"dims: {sides}" if sides else "dims: [1] reshape { shape: [] }"
    return f"name: {_quoted(value.name)} data_type: {_type(value)} {shape}"


def _warmup(inputs: Any, batch: int) -> str:
    """A run of zeros before the first request, which would else wait for what ONNX Runtime does only once."""
    filled = " ".join(
        f"inputs {{ key: {_quoted(value.name)} value {{ data_type: {_type(value)} "
        f"dims: {[side.dim_value for side in value.type.tensor_type.shape.dim[1:]] or [1]} zero_data: true }} }}"
        for value in inputs
    )
    return f'model_warmup {{ name: "batch of {batch}" batch_size: {batch} {filled} }}'


def _type(value: ValueInfoProto) -> str:
    return _TYPES[value.type.tensor_type.elem_type]


def _quoted(text: str) -> str:
    """A string literal of the text format, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)


def _said(model: ModelProto) -> dict[str, str]:
    return {prop.key: prop.value for prop in model.metadata_props}
