"""A trained generator as one ONNX file of standard operators.

    inputs   z               float32 [batch, z_dim]
             truncation_psi  float32 []                     has a default, 1.0; only where the model has truncation
             noise_<k>       float32 [noise_<k>_batch, 1, h, w]   has a default, the model's constant noise;
                                                            give [1, 1, h, w] or [batch, 1, h, w]
    output   images          float32 [batch, C, H, W] about [-1, 1], or uint8 [batch, H, W, C]

A default is an initialiser of the input's name, so `z` alone must be given. What the model is stands in the
file's metadata under `fastgan.*`.
"""

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import onnx_ir
import torch
from onnx import ModelProto, helper, numpy_helper
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants
from torch import Tensor, nn

from fastgan import __version__
from fastgan.errors import ConfigError, OutputError
from fastgan.export.lowering import lowered
from fastgan.export.verify import Check, verify
from fastgan.files import atomic_write
from fastgan.inference.runtime import Facts
from fastgan.inference.torch_runtime import load_model, to_uint8
from fastgan.nn import bake

OPSET = 20
_OPSETS = (18, 23)  # what torch's exporter can write and ONNX Runtime >= 1.20 can read
_NO_LIMIT = 1 << 40  # bytes: every constant is folded, however large


def export_onnx(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    uint8: bool = False,
    opset: int = OPSET,
    overwrite: bool = False,
    report: Callable[[Check], None] = lambda check: None,
) -> list[Check]:
    """Export the averaged generator of `source` (run, checkpoint, release) to the ONNX file `target`.

    uint8: the graph gives pixels, uint8 [N, H, W, C], instead of float32 [N, C, H, W]. The file appears under its
    name only when it has passed onnx.checker and agrees with torch; each comparison is handed to `report` as
    it is made, and all are returned. Raises CheckpointError for a bad source, ConfigError for an opset out of
    range, OutputError where the file cannot be written, is there already, or does not agree with torch.
    """
    path = Path(target)
    _check_target(path, overwrite=overwrite)
    if not _OPSETS[0] <= opset <= _OPSETS[1]:
        raise ConfigError(f"--opset {opset} is out of range: choose one from {_OPSETS[0]} to {_OPSETS[1]}.")
    generator, facts, state = load_model(Path(source))
    model = build(generator, uint8=uint8, opset=opset)
    _describe(model, facts, state["config"]["model"], uint8=uint8)
    try:
        with atomic_write(path) as temporary:
            onnx.save_model(model, temporary)
            return verify(temporary, generator, facts, report)
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror or error}): make room or choose another place."
        ) from error


def _check_target(path: Path, *, overwrite: bool) -> None:
    """Fail before the work rather than after it."""
    if path.suffix.lower() != ".onnx":
        raise OutputError(f"{path}: an ONNX file's name ends in .onnx, by which fastgan generate knows it.")
    if path.is_dir():
        raise OutputError(f"{path} is a folder: give the name of a file in it, like {path / 'model.onnx'}.")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already: choose another name, or give --overwrite to replace it.")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(f"{path} cannot be made: {parent} is not a folder that you may write to.")


class _Graph(nn.Module):
    """The generator with every input that the file shall have as a tensor."""

    def __init__(self, generator: nn.Module, *, uint8: bool) -> None:
        super().__init__()
        self.generator = generator
        self.uint8 = uint8

    def forward(self, z: Tensor, options: dict[str, Tensor], noise: list[Tensor]) -> Tensor:
        images = self.generator(z, noise=noise or None, **options)
        return to_uint8(images) if self.uint8 else images


def build(generator: Any, *, uint8: bool = False, opset: int = OPSET) -> ModelProto:
    """The graph of `generator` (eval mode, CPU), with defaults for every input but z; no metadata yet."""
    baked = bake(generator)
    noise = [baked.get_buffer(f"noise_const_{k}") for k in range(len(baked.noise_shapes))]
    options = {"truncation_psi": torch.tensor(1.0)} if baked.has_truncation else {}
    defaults = options | {f"noise_{k}": tensor for k, tensor in enumerate(noise)}
    with lowered(), _quiet():
        program = torch.onnx.export(
            _Graph(baked, uint8=uint8).eval(),
            (torch.zeros(2, baked.z_dim), options, noise),
            dynamo=True,
            opset_version=opset,
            input_names=["z", *defaults],
            output_names=["images"],
            dynamic_shapes={
                "z": {0: torch.export.Dim("batch")},
                "options": dict.fromkeys(options),
                "noise": [None] * len(noise),
            },
            verbose=False,
            optimize=False,
        )
        assert program is not None
        _simplify(program.model)
        model = program.model_proto
    _strip(model)
    _add_defaults(model, defaults)
    # Shapes inferred while noise had one sample are wrong for callers who give more: infer them again.
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def _simplify(model: onnx_ir.Model) -> None:
    """Fold constants and drop what nothing uses, exactly.

    Not by the exporter's own optimiser: it takes a constant up to 1e-8 for zero and so removes the epsilon that
    keeps the mapping network's normalisation finite at z = 0.
    """
    common.InlinePass()(model)
    fold_constants(model, input_size_limit=_NO_LIMIT, output_size_limit=_NO_LIMIT)
    for simplify in (
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
        common.RemoveUnusedOpsetsPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.NameFixPass(),
    ):
        simplify(model)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks about itself (torchvision, deprecations) off the user's screen."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _strip(model: ModelProto) -> None:
    """Drop the exporter's notes: stack traces with paths of this machine."""
    for item in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    for initializer in model.graph.initializer:
        initializer.ClearField("metadata_props")
        initializer.ClearField("doc_string")


def _add_defaults(model: ModelProto, defaults: dict[str, Tensor]) -> None:
    """Give every input but z an initialiser of its own name, which callers may override."""
    inputs = {value.name: value for value in model.graph.input}
    inputs["z"].type.tensor_type.shape.dim[0].dim_param = "batch"
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    for name, tensor in defaults.items():
        model.graph.initializer.append(numpy_helper.from_array(tensor.numpy(), name))
        if tensor.ndim:
            # A symbol of its own: one input may have one sample for all while another has one for each.
            inputs[name].type.tensor_type.shape.dim[0].dim_param = f"{name}_batch"


def _describe(model: ModelProto, facts: Facts, config: dict[str, Any], *, uint8: bool) -> None:
    """Write what the model is into the file."""
    pixels = "uint8 0..255" if uint8 else "float32 -1..1 (clamp)"
    metadata = {
        "version": __version__,
        "model": facts.model,
        "config": json.dumps(config),
        "resolution": str(facts.resolution),
        "img_channels": str(facts.img_channels),
        "z_dim": str(facts.z_dim),
        "has_truncation": "true" if facts.has_truncation else "false",
        "fingerprint": facts.fingerprint,
        "pixels": pixels,
        "layout": "NHWC" if uint8 else "NCHW",
        "latents": "standard normal; from a seed as in fastgan/inference/latents.py",
    }
    if facts.cur_nimg is not None:
        metadata["cur_nimg"] = str(facts.cur_nimg)
    if facts.data_hash is not None:
        metadata["data_hash"] = facts.data_hash
    helper.set_model_props(model, {f"fastgan.{key}": value for key, value in metadata.items()})
    model.producer_name, model.producer_version = "fastgan", __version__
    model.graph.name = facts.model
    model.doc_string = f"{facts.model} generator, {facts.resolution} px, exported by fastgan {__version__}"
