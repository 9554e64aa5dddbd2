"""A feature network of the user's own, from an ONNX file: its graph, run in torch, so that gradients reach the images.

Of what networks are handed around as, an ONNX file is data and no program, every framework writes it, and a graph of
convolutions is a dozen operators. (TorchScript and torch.export's .pt2 would run what they hold; ONNX Runtime has no
gradients.) The file takes [N, 3, H, W] and gives maps [N, C, h, w], each half as large as the one before. How it wants
its images stands beside it, in NAME.json: {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, of [0, 1].
"""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.errors import ConfigError
from fastgan.files import sha256_file
from fastgan.nn.precision import compute_dtype

_PROBE = 64  # pixels
_EXAMPLE = '{"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}'

Attributes = dict[str, Any]


class OnnxFeatures:
    """The maps of the network in `path`; see fastgan.nn.projected.Features. ConfigError for what cannot be used."""

    channels: tuple[int, ...]
    reductions: tuple[int, ...]

    def __init__(self, path: Path, device: torch.device) -> None:
        if not path.is_file():
            raise ConfigError(f"discriminator.features = {str(path)!r} does not exist, or is not a file")
        self.name, self.sha256 = path.name, sha256_file(path)
        self._mean, self._std = (value.to(device).view(1, -1, 1, 1) for value in _settings(path))
        self._read(path, device)
        with torch.no_grad():
            try:
                maps = self(torch.zeros(1, 3, _PROBE, _PROBE, device=device))
            except (RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
                raise ConfigError(
                    f"{path} cannot take images [N, 3, H, W] ({str(error).splitlines()[0]})"
                ) from error
        if any(m.ndim != 4 for m in maps) or not 2 <= len(maps) <= 6:
            shapes = ", ".join(str([*m.shape]) for m in maps)
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

    def __call__(self, images: Tensor) -> list[Tensor]:
        """[N, 3, S, S] in [-1, 1] -> the graph's outputs, in the autocast dtype."""
        dtype = compute_dtype(images)
        x = ((images + 1) / 2 - self._mean.to(images.dtype)) / self._std.to(images.dtype)
        values = dict(self._weights(dtype))
        values[self._input] = x.to(dtype, memory_format=torch.channels_last)
        with torch.autocast(images.device.type, enabled=False):
            for run, inputs, output, attributes in self._nodes:
                values[output] = run([values[name] if name else None for name in inputs], attributes)
        return [values[name] for name in self._outputs]

    def _read(self, path: Path, device: torch.device) -> None:
        import onnx

        try:
            model = onnx.load(path)
        except Exception as error:  # protobuf's exceptions share no base class but this
            raise ConfigError(f"{path} is not a whole ONNX model ({str(error).splitlines()[0]})") from error
        graph, convert = model.graph, onnx.numpy_helper.to_array
        full = {i.name: torch.from_numpy(convert(i).copy()).to(device) for i in graph.initializer}
        unknown = sorted({node.op_type for node in graph.node} - {*_OPERATORS, "Constant"})
        if unknown:
            raise ConfigError(
                f"{path} has operators that are not known here ({', '.join(unknown)}): export a network of "
                f"convolutions, with no other operators than {', '.join(sorted(_OPERATORS))}"
            )
        self._nodes: list[tuple[Callable[..., Tensor], list[str], str, Attributes]] = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                full[node.output[0]] = torch.from_numpy(convert(attributes["value"]).copy()).to(device)
            else:
                self._nodes.append((_OPERATORS[node.op_type], list(node.input), node.output[0], attributes))
        self._input = next(i.name for i in graph.input if i.name not in full)
        self._outputs = [output.name for output in graph.output]
        self._by_dtype: dict[torch.dtype, dict[str, Tensor]] = {torch.float32: full}

    def _weights(self, dtype: torch.dtype) -> dict[str, Tensor]:
        if dtype not in self._by_dtype:
            full = self._by_dtype[torch.float32]
            self._by_dtype[dtype] = {n: t.to(dtype) if t.is_floating_point() else t for n, t in full.items()}
        return self._by_dtype[dtype]


def _settings(path: Path) -> tuple[Tensor, Tensor]:
    beside = path.with_suffix(".json")
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
        mean, std = (torch.tensor([float(x) for x in found[key]]) for key in ("mean", "std"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} does not say how it wants its images: write {beside.name} beside it, such as {_EXAMPLE}"
        ) from error
    if len(mean) != 3 or len(std) != 3 or not (std > 0).all():
        raise ConfigError(f"{beside} must have three numbers in mean and in std, as in {_EXAMPLE}")
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
    around = _padding(a, x.shape[-1], kernel[0])
    if any(around):  # averages count what is padded only where they are told to
        if not largest and not a.get("count_include_pad", 0):
            raise ValueError("AveragePool that leaves out what is padded")
        x = F.pad(x, around, value=float("-inf") if largest else 0.0)
    stride, round_up = a.get("strides", kernel), bool(a.get("ceil_mode", 0))
    if largest:
        return F.max_pool2d(x, kernel, stride, ceil_mode=round_up)
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
