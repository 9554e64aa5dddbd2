"""A generator as graphs of standard operators: whole, or its mapping and its synthesis apart.

Torch's exporter traces the module with the ops of `lowering`; what it leaves is folded and cleaned here, and inputs get
their defaults: initialisers of their own names.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import onnx
import onnx_ir
import torch
from onnx import ModelProto, TensorProto, numpy_helper
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants
from torch import Tensor, nn

from fastgan.exporters.lowering import lowered
from fastgan.nn.conditions import encode
from fastgan.pixels import to_uint8

_NO_LIMIT = 1 << 40  # bytes: every constant is folded, however large
_SMALL = 4096  # bytes of a tensor that shapes may depend on
OUTPUTS = {"whole": "images", "mapping": "w", "synthesis": "images"}
"""What the graph of each part gives."""


class _Graph(nn.Module):
    """A part of the generator with every input that the file shall have as a tensor."""

    def __init__(self, generator: Any, *, uint8: bool = False) -> None:
        super().__init__()
        self.generator: Any = generator
        self.uint8 = uint8

    def _conditions(self, label: Tensor | None = None, attributes: Tensor | None = None) -> Tensor:
        return encode(label, attributes, self.generator.config.classes)

    def _asked(self, asked: dict[str, Tensor]) -> list[Tensor]:
        return [self._conditions(**asked)] if asked else []

    def _pixels(self, images: Tensor) -> Tensor:
        return to_uint8(images) if self.uint8 else images


class _Whole(_Graph):
    def forward(
        self, z: Tensor, asked: dict[str, Tensor], options: dict[str, Tensor], noise: list[Tensor]
    ) -> Tensor:
        return self._pixels(self.generator(z, *self._asked(asked), noise=noise or None, **options))


class _Mapping(_Graph):
    def forward(self, z: Tensor, asked: dict[str, Tensor], options: dict[str, Tensor]) -> Tensor:
        w = self.generator.mapping(z, *self._asked(asked))
        truncated: Tensor = self.generator.truncate(
            w, options["truncation_psi"], options["truncation_cutoff"]
        )
        return truncated


class _Synthesis(_Graph):
    def forward(self, w: Tensor, noise: list[Tensor]) -> Tensor:
        return self._pixels(self.generator.synthesis(w, noise))


def build(baked: Any, part: str = "whole", *, uint8: bool = False, opset: int) -> ModelProto:
    """The graph of a `part` of a generator (baked, in eval mode, on the CPU); no metadata yet.

    All inputs but z, label, attributes and w have defaults.
    """
    config = baked.config
    noise = [baked.get_buffer(f"noise_const_{k}") for k in range(len(baked.noise_shapes))]
    asked = _examples(config)
    options = {}
    if baked.has_truncation:
        options = {"truncation_psi": torch.tensor(1.0), "truncation_cutoff": torch.tensor(len(noise))}
    by_name = {f"noise_{k}": tensor for k, tensor in enumerate(noise)}
    batch = {0: torch.export.Dim("batch")}
    z, of_asked, of_options = torch.zeros(2, baked.z_dim), dict.fromkeys(asked, batch), dict.fromkeys(options)
    of_noise = [None] * len(noise)
    if part == "mapping":
        model = _trace(
            _Mapping(baked),
            (z, asked, options),
            (batch, of_asked, of_options),
            ["z", *asked, *options],
            "w",
            opset,
        )
        needed, defaults = ["z", *asked], options
    elif part == "synthesis":
        w = torch.zeros(2, len(noise), config.w_dim)
        synthesis = _Synthesis(baked, uint8=uint8)
        model = _trace(synthesis, (w, noise), (batch, of_noise), ["w", *by_name], "images", opset)
        needed, defaults = ["w"], by_name
    else:
        model = _trace(
            _Whole(baked, uint8=uint8),
            (z, asked, options, noise),
            (batch, of_asked, of_options, of_noise),
            ["z", *asked, *options, *by_name],
            "images",
            opset,
        )
        needed, defaults = ["z", *asked], options | by_name
    _strip(model)
    _name_batch(model, [*needed, OUTPUTS[part]])
    _add_defaults(model, defaults)
    return infer_shapes(model)


def _trace(
    module: nn.Module,
    arguments: tuple[Any, ...],
    shapes: tuple[Any, ...],
    inputs: list[str],
    output: str,
    opset: int,
) -> ModelProto:
    with lowered(), _quiet():
        program = torch.onnx.export(
            module.eval(),
            (*arguments, {}),  # a mapping at the end would be taken for keywords
            dynamo=True,
            opset_version=opset,
            input_names=inputs,
            output_names=[output],
            dynamic_shapes=shapes,
            verbose=False,
            optimize=False,
        )
        assert program is not None
        _simplify(program.model)
        return program.model_proto


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


def _name_batch(model: ModelProto, names: list[str]) -> None:
    """Call the first dimension of these inputs and of the output "batch"."""
    for value in (*model.graph.input, *model.graph.output):
        if value.name in names:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _add_defaults(model: ModelProto, defaults: Mapping[str, Tensor]) -> None:
    """Give these inputs an initialiser of their own name, which callers may override."""
    inputs = {value.name: value for value in model.graph.input}
    for name, tensor in defaults.items():
        model.graph.initializer.append(numpy_helper.from_array(tensor.numpy(), name))
        if tensor.ndim:
            # A symbol of its own: one input may have one sample for all while another has one for each.
            inputs[name].type.tensor_type.shape.dim[0].dim_param = f"{name}_batch"


def infer_shapes(model: ModelProto) -> ModelProto:
    """`model`, with the shapes of all values inferred anew; strictly, so that a graph that makes no sense is refused.

    Not those that the exporter inferred while noise had one sample, which are wrong for callers who give more. The
    weights stay out of it: onnx copies what it is given, and takes no more than 2 GB.
    """
    light = without_weights(model)
    del light.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(light, strict_mode=True)
    del model.graph.value_info[:]
    model.graph.value_info.extend(inferred.graph.value_info)
    return model


def without_weights(model: ModelProto) -> ModelProto:
    """A copy in which large tensors are said to lie in another file."""
    heavy = [tensor for tensor in model.graph.initializer if len(tensor.raw_data) > _SMALL]
    contents = [tensor.raw_data for tensor in heavy]
    light = ModelProto()
    with _emptied(heavy, contents):
        light.CopyFrom(model)
    return light


@contextmanager
def _emptied(tensors: list[TensorProto], contents: list[bytes]) -> Iterator[None]:
    for tensor in tensors:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="elsewhere")
    try:
        yield
    finally:
        for tensor, content in zip(tensors, contents, strict=True):
            tensor.ClearField("data_location")
            tensor.ClearField("external_data")
            tensor.raw_data = content
