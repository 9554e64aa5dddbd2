"""A feature network of the user's own, from an ONNX file: its graph, run in torch, so that gradients reach the images.

Of what networks are handed around as, an ONNX file is data and no program, every framework writes it, and a graph of
convolutions is a dozen operators. (TorchScript and torch.export's .pt2 would run what they hold; ONNX Runtime has no
gradients.) The file takes [N, 3, H, W] and gives maps [N, C, h, w], each half as large as the one before. How it wants
its images stands beside it, in NAME.json: {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, of [0, 1].
"""

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.documents import read_json
from fastgan.errors import ConfigError, DocumentError
from fastgan.files import plain_path
from fastgan.nn.precision import compute_dtype
from fastgan.text import reason

_PROBE = 64  # pixels
_PROTOBUF = 2**31 - 1  # bytes; larger networks have their weights in a file beside
_EXAMPLE = '{"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}'

Attributes = dict[str, Any]


class OnnxFeatures:
    """The maps of the network in `path`; see fastgan.nn.projected.Features. ConfigError for what cannot be used.

    Each is divided by about its standard deviation on `probe`, so that those who mix them mix them evenly.
    """

    channels: tuple[int, ...]
    reductions: tuple[int, ...]
    _by_dtype: dict[torch.dtype, dict[str, Tensor]]

    def __init__(self, path: Path, device: torch.device) -> None:
        if not path.is_file():
            raise ConfigError(f"discriminator.features = {str(path)!r} does not exist, or is not a file")
        self._mean, self._std = (value.view(1, -1, 1, 1) for value in _settings(path))
        graph = _graph(path)
        try:
            self._read(path, graph)
            self.name, self.sha256 = path.name, self._sha256(graph)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ConfigError(f"{path} is not a whole ONNX model ({reason(error)})") from error
        self._measure(path)  # where it was read, on the CPU: every device divides by the same numbers
        self._mean, self._std = self._mean.to(device), self._std.to(device)
        full = self._by_dtype[torch.float32]
        self._by_dtype = {torch.float32: {name: tensor.to(device) for name, tensor in full.items()}}

    def __call__(self, images: Tensor) -> list[Tensor]:
        """[N, 3, S, S] in [-1, 1] -> the graph's outputs, in the autocast dtype."""
        return [m / spread for m, spread in zip(self._maps(images), self.spread, strict=True)]

    def _maps(self, images: Tensor) -> list[Tensor]:
        dtype = compute_dtype(images)
        x = ((images + 1) / 2 - self._mean.to(images.dtype)) / self._std.to(images.dtype)
        values = dict(self._weights(dtype))
        values[self._input] = x.to(dtype, memory_format=torch.channels_last)
        with torch.autocast(images.device.type, enabled=False):
            for run, inputs, output, attributes in self._nodes:
                values[output] = run([values[name] if name else None for name in inputs], attributes)
        return [values[name] for name in self._outputs]

    def _read(self, path: Path, graph: Any) -> None:
        unknown = sorted({node.op_type for node in graph.node} - {*_OPERATORS, "Constant"})
        if unknown:
            raise ConfigError(
                f"{path} has operators that are not known here ({', '.join(unknown)}): export a network of "
                f"convolutions, with no other operators than {', '.join(sorted(_OPERATORS))}"
            )
        constants = dict(_constants(path, graph))
        full = {name: torch.from_numpy(value.copy()) for name, value in constants.items()}
        inputs = [i.name for i in graph.input if i.name not in full]
        if len(inputs) != 1:
            found = f"{len(inputs)} inputs ({', '.join(inputs)})" if inputs else "no input"
            raise ConfigError(f"{path} has {found}: export a network that takes images [N, 3, H, W] alone")
        self._input, self._outputs = inputs[0], [output.name for output in graph.output]
        self._nodes: list[tuple[Callable[..., Tensor], list[str], str, Attributes]] = [
            (_OPERATORS[node.op_type], list(node.input), node.output[0], _attributes(node))
            for node in graph.node
            if node.op_type != "Constant"
        ]
        self._by_dtype = {torch.float32: full}

    def _sha256(self, graph: Any) -> str:
        """Of all that the maps follow from, wherever it is written: the file, its .data, the .json beside it."""
        nodes = [
            (n.op_type, [*n.input], [*n.output], sorted(_attributes(n).items(), key=lambda item: item[0]))
            for n in graph.node
            if n.op_type != "Constant"
        ]
        found = hashlib.sha256(repr((self._input, self._outputs, nodes)).encode())
        settings = {" mean": self._mean, " std": self._std}
        for name, tensor in sorted((settings | self._by_dtype[torch.float32]).items()):
            found.update(f"{name} {tensor.dtype} {[*tensor.shape]} ".encode())
            found.update(tensor.contiguous().numpy().tobytes())
        return found.hexdigest()

    def _measure(self, path: Path) -> None:
        """`channels`, `reductions` and `spread`, from the maps of the probe."""
        try:
            with torch.no_grad():
                maps = self._maps(probe())
        except (RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} cannot take images [N, 3, H, W] ({reason(error)})") from error
        if any(m.ndim != 4 for m in maps) or not 2 <= len(maps) <= 6:
            shapes = ", ".join(f"[{', '.join(['N', *map(str, m.shape[1:])])}]" for m in maps)
            raise ConfigError(
                f"{path} gives {shapes}: its outputs must be 2 to 6 feature maps [N, C, h, w], from fine to coarse"
            )
        sides = [m.shape[-1] for m in maps]
        if any(a != 2 * b for a, b in pairwise(sides)) or _PROBE % sides[0]:
            raise ConfigError(
                f"{path} gives maps of {', '.join(map(str, sides))} px for {_PROBE}: each must be half as large as the "
                "one before"
            )
        self.channels = tuple(m.shape[1] for m in maps)
        self.reductions = tuple(_PROBE // side for side in sides)
        # To two digits: what a sum of other threads, or of another torch, rounds otherwise changes nothing.
        self.spread = tuple(float(f"{m.double().std().item():.1e}") for m in maps)
        for k, spread in enumerate(self.spread, start=1):
            if not (math.isfinite(spread) and spread > 0):
                values = "the same value everywhere" if spread == 0 else "values that are not finite"
                raise ConfigError(
                    f"{path} gives {values} in map {k} of {len(maps)}: export a trained network"
                )

    def _weights(self, dtype: torch.dtype) -> dict[str, Tensor]:
        if dtype not in self._by_dtype:
            full = self._by_dtype[torch.float32]
            self._by_dtype[dtype] = {n: t.to(dtype) if t.is_floating_point() else t for n, t in full.items()}
        return self._by_dtype[dtype]


def probe() -> Tensor:
    """Images float32 [8, 3, 64, 64] in [-1, 1], always the same: noise of all scales alike, as photographs."""
    random = torch.Generator().manual_seed(0)
    octaves = [torch.randn(8, 3, side, side, generator=random) for side in (2, 4, 8, 16, 32, _PROBE)]
    layers = [F.interpolate(octave, (_PROBE, _PROBE), mode="bilinear") for octave in octaves]
    return torch.stack(layers).sum(0).mul(0.3).clamp(-1, 1)


def _graph(path: Path) -> Any:
    """The graph in `path`, with the weights that lie in a file of their own."""
    import onnx

    try:
        with plain_path(path) as name:
            if (size := os.stat(name).st_size) > _PROTOBUF:
                raise ValueError(f"it has {size / 1e9:.1f} GB, and a protocol buffer at most 2.1")
            graph = onnx.load(name).graph
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # protobuf's exceptions share no base class but this
        raise ConfigError(f"{path} is not a whole ONNX model ({reason(error)})") from error
    if not graph.node:
        raise ConfigError(f"{path} is not a whole ONNX model (its graph is empty)")
    return graph


def _attributes(node: Any) -> Attributes:
    from onnx.helper import get_attribute_value

    found = {a.name: get_attribute_value(a) for a in node.attribute}
    return {
        name: value if isinstance(value, bytes | int | float) else [*value] for name, value in found.items()
    }


def _constants(path: Path, graph: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Name and value of each initialiser and Constant, floats of any width in float32."""
    from onnx.numpy_helper import to_array

    for tensor in graph.initializer:
        yield tensor.name, _plain(to_array(tensor))
    for node in (n for n in graph.node if n.op_type == "Constant"):
        attribute = node.attribute[0]
        if attribute.name not in _NUMBERS:
            raise ConfigError(
                f"{path} has a Constant of {attribute.name}, which is no number: export it without"
            )
        kind, field = _NUMBERS[attribute.name]
        value = getattr(attribute, field)
        yield node.output[0], _plain(to_array(value) if field == "t" else np.array(value, kind))


_NUMBERS: dict[str, tuple[type, str]] = {
    "value": (np.generic, "t"),
    "value_float": (np.float32, "f"),
    "value_floats": (np.float32, "floats"),
    "value_int": (np.int64, "i"),
    "value_ints": (np.int64, "ints"),
}
"""The numeric forms of a Constant: dtype, and the field of its attribute."""


def _plain(array: np.ndarray) -> np.ndarray:
    return array if array.dtype.kind in "iub" else array.astype(np.float32)


class _Settings(TypedDict):
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def _settings(path: Path) -> tuple[Tensor, Tensor]:
    beside = path.with_suffix(".json")
    try:
        found = read_json(beside, _Settings)
    except OSError as error:
        raise ConfigError(
            f"{path} does not say how it wants its images ({beside.name}: {error.strerror}): write {beside.name} "
            f"beside it, such as {_EXAMPLE}"
        ) from error
    except DocumentError as error:
        raise ConfigError(
            f"{error}: it must have three numbers in mean and in std, as in {_EXAMPLE}"
        ) from error
    mean, std = torch.tensor(found["mean"]).float(), torch.tensor(found["std"]).float()
    if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
        raise ConfigError(f"{beside} must have finite numbers, and in std above 0, as in {_EXAMPLE}")
    return mean, std


def _padding(a: Attributes, side: int, kernel: int) -> list[int]:
    """Left, right, top, bottom of a window of `kernel` on `side` pixels."""
    if a.get("auto_pad", b"NOTSET") in (b"SAME_UPPER", b"SAME_LOWER"):
        stride = a.get("strides", [1])[0]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        first = total // 2 if a["auto_pad"] == b"SAME_UPPER" else total - total // 2
        return [first, total - first] * 2
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    return [left, right, top, bottom]


def _conv(inputs: list[Tensor], a: Attributes) -> Tensor:
    x, weight, *bias = inputs
    stride, dilation, groups = a.get("strides", [1, 1]), a.get("dilations", [1, 1]), a.get("group", 1)
    left, right, top, bottom = _padding(a, x.shape[-1], dilation[0] * (weight.shape[-1] - 1) + 1)
    padding = (top, left)
    if (left, top) != (right, bottom):
        x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
    return F.conv2d(x, weight, bias[0] if bias else None, stride, padding, dilation, groups)


def _pool(inputs: list[Tensor], a: Attributes, *, largest: bool) -> Tensor:
    x, kernel = inputs[0], a["kernel_shape"]
    stride, dilation, round_up = (
        a.get("strides", [1, 1]),
        a.get("dilations", [1, 1]),
        bool(a.get("ceil_mode", 0)),
    )
    around = _padding(a, x.shape[-1], dilation[0] * (kernel[0] - 1) + 1)
    if any(around):  # averages count what is padded only where they are told to
        if not largest and not a.get("count_include_pad", 0):
            raise ValueError("AveragePool that leaves out what is padded")
        x = F.pad(x, around, value=float("-inf") if largest else 0.0)
    if largest:
        return F.max_pool2d(x, kernel, stride, dilation=dilation, ceil_mode=round_up)
    if any(step != 1 for step in dilation):
        raise ValueError("AveragePool with dilations")
    return F.avg_pool2d(x, kernel, stride, ceil_mode=round_up)


def _batch_norm(inputs: list[Tensor], a: Attributes) -> Tensor:
    x, scale, bias, mean, var = inputs
    return F.batch_norm(x, mean, var, scale, bias, False, 0.0, a.get("epsilon", 1e-5))


def _clip(inputs: list[Tensor], a: Attributes) -> Tensor:
    low, high = ([*inputs[1:], None, None])[:2]  # tensors since opset 11, numbers before
    return inputs[0].clamp(a.get("min") if low is None else low, a.get("max") if high is None else high)


_OPERATORS: dict[str, Callable[[list[Tensor], Attributes], Tensor]] = {
    "Add": lambda i, a: i[0] + i[1],
    "AveragePool": lambda i, a: _pool(i, a, largest=False),
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": lambda i, a: torch.cat(i, a["axis"]),
    "Conv": _conv,
    "Div": lambda i, a: i[0] / i[1],
    "Gelu": lambda i, a: F.gelu(i[0], approximate=a.get("approximate", b"none").decode()),
    "GlobalAveragePool": lambda i, a: i[0].mean((2, 3), keepdim=True),
    "HardSigmoid": lambda i, a: (a.get("alpha", 0.2) * i[0] + a.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda i, a: F.hardswish(i[0]),
    "Identity": lambda i, a: i[0],
    "LeakyRelu": lambda i, a: F.leaky_relu(i[0], a.get("alpha", 0.01)),
    "MaxPool": lambda i, a: _pool(i, a, largest=True),
    "Mul": lambda i, a: i[0] * i[1],
    "Relu": lambda i, a: F.relu(i[0]),
    "Sigmoid": lambda i, a: i[0].sigmoid(),
    "Sub": lambda i, a: i[0] - i[1],
    "Tanh": lambda i, a: i[0].tanh(),
}
