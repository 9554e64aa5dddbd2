"""A trained generator as one ONNX file of standard operators.

    inputs   z                  float32 [batch, z_dim]
             label              int64 [batch]               only where the model takes classes: its index
             attributes         float32 [batch, A]          only where the model takes attributes; NaN: unknown
             truncation_psi     float32 []                  has a default, 1.0; only where the model has truncation
             truncation_cutoff  int64 []                    has a default, all layers; the first K are truncated
             noise_<k>          float32 [noise_<k>_batch, 1, h, w]   has a default, the model's constant noise;
                                                            give [1, 1, h, w] or [batch, 1, h, w]
    output   images             float32 [batch, C, H, W] about [-1, 1], or uint8 [batch, H, W, C]

A default is an initialiser of the input's name, so `z`, `label` and `attributes` alone must be given. What the model
is stands in the file's metadata under `fastgan.*`: the names of classes and attributes as JSON lists, and in
`fastgan.conditions` the sample of the data's conditions, from which `fastgan generate` draws what is not asked for.
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
from fastgan.inference.conditions import Conditions
from fastgan.inference.facts import Facts
from fastgan.inference.torch_runtime import load_model, load_sample, to_uint8
from fastgan.nn import bake
from fastgan.nn.conditions import encode

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
    sample = load_sample(Path(source)) if facts.condition_dim else None
    model = build(generator, uint8=uint8, opset=opset)
    _describe(model, facts, sample, state["config"]["model"], uint8=uint8)
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

    def __init__(self, generator: Any, *, uint8: bool) -> None:
        super().__init__()
        self.generator: Any = generator
        self.uint8 = uint8

    def forward(
        self, z: Tensor, asked: dict[str, Tensor], options: dict[str, Tensor], noise: list[Tensor]
    ) -> Tensor:
        c = self._conditions(**asked) if asked else None
        images = self.generator(z, *([] if c is None else [c]), noise=noise or None, **options)
        return to_uint8(images) if self.uint8 else images

    def _conditions(self, label: Tensor | None = None, attributes: Tensor | None = None) -> Tensor:
        return encode(label, attributes, self.generator.config.classes)


def build(generator: Any, *, uint8: bool = False, opset: int = OPSET) -> ModelProto:
    """The graph of `generator` (eval mode, CPU), with defaults for all but z and conditions; no metadata yet."""
    baked = bake(generator)
    noise = [baked.get_buffer(f"noise_const_{k}") for k in range(len(baked.noise_shapes))]
    asked = _examples(baked.config)
    options = {}
    if baked.has_truncation:
        options = {"truncation_psi": torch.tensor(1.0), "truncation_cutoff": torch.tensor(len(noise))}
    defaults = options | {f"noise_{k}": tensor for k, tensor in enumerate(noise)}
    batch = {0: torch.export.Dim("batch")}
    with lowered(), _quiet():
        program = torch.onnx.export(
            _Graph(baked, uint8=uint8).eval(),
            (torch.zeros(2, baked.z_dim), asked, options, noise),
            dynamo=True,
            opset_version=opset,
            input_names=["z", *asked, *defaults],
            output_names=["images"],
            dynamic_shapes={
                "z": batch,
                "asked": dict.fromkeys(asked, batch),
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
    _name_batch(model, ["z", *asked])
    _add_defaults(model, defaults)
    # Shapes inferred while noise had one sample are wrong for callers who give more: infer them again.
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def _examples(config: Any) -> dict[str, Tensor]:
    """The inputs for conditions that a model takes, two of each."""
    asked = {}
    if getattr(config, "classes", 0):
        asked["label"] = torch.zeros(2, dtype=torch.int64)
    if getattr(config, "attributes", 0):
        asked["attributes"] = torch.zeros(2, config.attributes)
    return asked


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


def _name_batch(model: ModelProto, inputs: list[str]) -> None:
    """Call the first dimension of these inputs and of the output "batch"."""
    for value in (*model.graph.input, *model.graph.output):
        if value.name in inputs or value.name == "images":
            value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _add_defaults(model: ModelProto, defaults: dict[str, Tensor]) -> None:
    """Give these inputs an initialiser of their own name, which callers may override."""
    inputs = {value.name: value for value in model.graph.input}
    for name, tensor in defaults.items():
        model.graph.initializer.append(numpy_helper.from_array(tensor.numpy(), name))
        if tensor.ndim:
            # A symbol of its own: one input may have one sample for all while another has one for each.
            inputs[name].type.tensor_type.shape.dim[0].dim_param = f"{name}_batch"


def _describe(
    model: ModelProto, facts: Facts, sample: Conditions | None, config: dict[str, Any], *, uint8: bool
) -> None:
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
    if facts.layers:
        metadata["layers"] = str(facts.layers)
    if facts.class_names:
        metadata["class_names"] = json.dumps(facts.class_names)
    if facts.attribute_names:
        metadata["attribute_names"] = json.dumps(facts.attribute_names)
    if sample is not None:
        metadata["conditions"] = sample.to_text()
    if facts.cur_nimg is not None:
        metadata["cur_nimg"] = str(facts.cur_nimg)
    if facts.data_hash is not None:
        metadata["data_hash"] = facts.data_hash
    helper.set_model_props(model, {f"fastgan.{key}": value for key, value in metadata.items()})
    model.producer_name, model.producer_version = "fastgan", __version__
    model.graph.name = facts.model
    model.doc_string = f"{facts.model} generator, {facts.resolution} px, exported by fastgan {__version__}"
