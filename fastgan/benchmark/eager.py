"""The best eager compositions of each op that torch alone allows: the baselines of `fastgan bench`.

A speed-up over a naive composition says nothing, so every op has the fastest one known here, and several
where which is fastest depends on shape, dtype or layout (the benchmark takes the fastest of them each time).
All are differentiable by torch's own autograd, keep the dtype and layout of x, and have their op's own signature. A
new one is a new function here, named `<op>_<composition>`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan import ops
from fastgan.ops.cases import accumulation_dtype


def _planes(v: Tensor, like: Tensor) -> Tensor:
    """[..., C] -> [..., C, 1, 1] in the dtype of `like`."""
    return v.to(like.dtype)[..., None, None]


def _laid_out_as(x: Tensor, y: Tensor) -> Tensor:
    """`y` in the layout of `x`: the ops keep it, so a composition that loses it owes a copy."""
    if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
        return y
    return y.contiguous(memory_format=torch.channels_last)


def adain_instance_norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """torch's own instance norm, then one fused multiply-add."""
    y = torch.addcmul(_planes(shift, x), F.instance_norm(x, eps=eps), 1 + _planes(scale, x))
    return _laid_out_as(x, y)


def adain_one_group_a_plane(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """All planes as the channels of one sample: group norm applies the style as its weight and bias."""
    n, c, h, w = x.shape
    weight, bias = (1 + scale).flatten(), shift.flatten()
    return _laid_out_as(x, F.group_norm(x.reshape(1, n * c, h, w), n * c, weight, bias, eps).view(x.shape))


def adain_group_norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """Group norm, which reads channels_last as it is, then one fused multiply-add."""
    y = F.group_norm(x, x.shape[1], eps=eps)
    return torch.addcmul(_planes(shift, x), y, 1 + _planes(scale, x))


def adain_batch_norm_a_sample(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """Batch norm of one sample at a time, whose weight and bias are that sample's style."""
    normed = (
        F.batch_norm(one, None, None, weight, bias, training=True, eps=eps)
        for one, weight, bias in zip(x.split(1), 1 + scale, shift, strict=True)
    )
    return torch.cat(list(normed))


def adain_matmul(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """Means as products with a row of ones, in channels_last: the fastest sums there, the backward pass's too."""
    n, c, h, w = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(n, h * w, c)
    average = torch.full((1, 1, 1), 1 / (h * w), dtype=x.dtype, device=x.device).expand(n, 1, h * w)
    centred = pixels - average @ pixels
    factor = (1 + scale[:, None].to(x.dtype)) * (average @ centred.square() + eps).rsqrt()
    y = torch.addcmul(shift[:, None].to(x.dtype), centred, factor)
    y = y.view(n, h, w, c).permute(0, 3, 1, 2)
    return y.contiguous() if x.is_contiguous() else y


def _activate(x: Tensor, noise: Tensor | None, strength: Tensor, bias: Tensor, slope: float) -> Tensor:
    """Noise, bias, activation: the last two in place."""
    if noise is None:
        return F.leaky_relu_(x + _planes(bias, x), slope)
    return F.leaky_relu_(x.addcmul(_planes(strength, x), noise).add_(_planes(bias, x)), slope)


def _activate_matmul(x: Tensor, noise: Tensor | None, strength: Tensor, bias: Tensor, slope: float) -> Tensor:
    """Noise and bias as one product of rank 2, added by the product itself; activation in place."""
    if noise is None:
        return _activate(x, noise, strength, bias, slope)
    n, c, h, w = x.shape
    left = torch.stack((strength, bias), 1).to(x.dtype).expand(n, c, 2)
    row = noise.reshape(-1, 1, h * w).expand(n, 1, h * w)
    right = torch.cat((row, torch.ones_like(row)), 1)  # [N, 2, HW]
    if x.is_contiguous():
        return F.leaky_relu_(torch.baddbmm(x.view(n, c, h * w), left, right).view(x.shape), slope)
    pixels = torch.baddbmm(x.permute(0, 2, 3, 1).reshape(n, h * w, c), right.mT, left.mT)
    return F.leaky_relu_(pixels.view(n, h, w, c).permute(0, 3, 1, 2), slope)


def _styled(activate: Callable[..., Tensor], norm: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`style_epilogue` out of a way to activate and a way to normalise."""

    def composition(
        x: Tensor, noise: Tensor | None, strength: Tensor, bias: Tensor, scale: Tensor, shift: Tensor,
        slope: float = 0.2, eps: float = 1e-5,
    ) -> Tensor:  # fmt: skip
        return norm(activate(x, noise, strength, bias, slope), scale, shift, eps)

    return composition


style_epilogue_instance_norm = _styled(_activate, adain_instance_norm)
style_epilogue_one_group_a_plane = _styled(_activate, adain_one_group_a_plane)
style_epilogue_group_norm = _styled(_activate, adain_group_norm)
style_epilogue_batch_norm_a_sample = _styled(_activate, adain_batch_norm_a_sample)
style_epilogue_matmul = _styled(_activate, adain_matmul)
style_epilogue_rank2_one_group_a_plane = _styled(_activate_matmul, adain_one_group_a_plane)
style_epilogue_rank2_batch_norm_a_sample = _styled(_activate_matmul, adain_batch_norm_a_sample)


def bias_act_inplace(x: Tensor, bias: Tensor, slope: float = 0.2, gain: float = 1.0) -> Tensor:
    """Add, then leaky ReLU in place; the gain only where there is one."""
    b = bias.to(x.dtype)
    y = F.leaky_relu_(x + (b[:, None, None] if x.dim() == 4 else b), slope)
    return y if gain == 1.0 else y * gain


@lru_cache
def _kernel(
    taps: tuple[float, ...], gain: float, channels: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """[C, 1, k, k] depthwise kernel of the normalised separable taps, made once as a module's buffer would be."""
    with torch.inference_mode(False):  # the next one to ask may want to differentiate through it
        t = torch.tensor(taps, dtype=torch.float64)
        t = t / t.sum()
        return (gain * torch.outer(t, t)).to(device, dtype).repeat(channels, 1, 1, 1)


@lru_cache
def _band(
    size: int, taps: tuple[float, ...], gain: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """[2 size, size], the upsampling of one axis: column i holds the taps at rows 2i-1 .. 2i+2."""
    with torch.inference_mode(False):
        t = torch.tensor(taps, dtype=torch.float64)
        band = torch.zeros(2 * size + 2, size, dtype=torch.float64)
        for k, tap in enumerate(gain * t / t.sum()):
            band[torch.arange(size) * 2 + k, torch.arange(size)] = tap
        return band[1:-1].to(device, dtype)


def _depthwise(x: Tensor, taps: tuple[float, ...], gain: float = 1.0) -> dict[str, Any]:
    return {"weight": _kernel(tuple(taps), gain, x.shape[1], x.dtype, x.device), "groups": x.shape[1]}


def upsample2x_conv_transpose(x: Tensor, taps: tuple[float, ...] = (1, 3, 3, 1)) -> Tensor:
    """One depthwise transposed convolution of stride 2."""
    return F.conv_transpose2d(x, stride=2, padding=1, **_depthwise(x, taps, gain=4.0))


def upsample2x_nearest_blur(x: Tensor, taps: tuple[float, ...] = (1, 3, 3, 1)) -> Tensor:
    """Nearest neighbour, then a depthwise [1, 2, 1] blur; the default taps only."""
    _default_taps(taps)
    return F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), padding=1, **_depthwise(x, (1, 2, 1)))


def upsample2x_bilinear(x: Tensor, taps: tuple[float, ...] = (1, 3, 3, 1)) -> Tensor:
    """The default taps are bilinear weights: zero border, bilinear, crop."""
    _default_taps(taps)
    y = F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=2, mode="bilinear", align_corners=False)
    return y[:, :, 2:-2, 2:-2]


def upsample2x_matmul(x: Tensor, taps: tuple[float, ...] = (1, 3, 3, 1)) -> Tensor:
    """Each axis as a product with a banded matrix."""
    up_h, up_w = (_band(size, tuple(taps), 2.0, x.dtype, x.device) for size in x.shape[2:])
    return _laid_out_as(x, up_h @ (x @ up_w.mT))


def downsample2x_matmul(x: Tensor, taps: tuple[float, ...] = (1, 3, 3, 1)) -> Tensor:
    """Each axis as a product with the transposed matrix of `upsample2x_matmul`."""
    down_h, down_w = (_band(size // 2, tuple(taps), 1.0, x.dtype, x.device) for size in x.shape[2:])
    return _laid_out_as(x, down_h.mT @ (x @ down_w))


def downsample2x_conv(x: Tensor, taps: tuple[float, ...] = (1, 3, 3, 1)) -> Tensor:
    """One depthwise convolution of stride 2."""
    return F.conv2d(x, stride=2, padding=1, **_depthwise(x, taps))


def downsample2x_blur_mean(x: Tensor, taps: tuple[float, ...] = (1, 3, 3, 1)) -> Tensor:
    """A depthwise [1, 2, 1] blur, then the 2x2 mean; the default taps only."""
    _default_taps(taps)
    return F.avg_pool2d(F.conv2d(x, padding=1, **_depthwise(x, (1, 2, 1))), 2)


def downsample2x_pools(x: Tensor, taps: tuple[float, ...] = (1, 3, 3, 1)) -> Tensor:
    """[1, 3, 3, 1] is [1, 1] three times over: three 2x2 means, the last of stride 2."""
    _default_taps(taps)
    return F.avg_pool2d(F.avg_pool2d(F.avg_pool2d(x, 2, stride=1, padding=1), 2, stride=1), 2)


def _default_taps(taps: tuple[float, ...]) -> None:
    if tuple(taps) != (1, 3, 3, 1):
        raise ValueError(f"this composition exists for the taps (1, 3, 3, 1) only, not {taps}.")


def interpolate_lerp(real: Tensor, fake: Tensor, t: Tensor) -> Tensor:
    """torch's own fused interpolation."""
    return torch.lerp(real, fake, t.to(real.dtype).view(-1, *[1] * (real.dim() - 1)))


def gradient_penalty_norm(grad: Tensor, center: float = 1.0) -> Tensor:
    """One norm a sample, then small arithmetic."""
    norms = torch.linalg.vector_norm(grad.flatten(1), dim=1, dtype=accumulation_dtype(grad.dtype))
    return (norms - center).square().mean()


# What one finds in other people's code, and what targets are usually stated against: always measured.
USUAL = {
    "adain": ("instance_norm",),
    "style_epilogue": ("instance_norm",),
    "upsample2x": ("conv_transpose", "nearest_blur"),
    "downsample2x": ("conv", "blur_mean"),
}


def compositions(op: str) -> dict[str, Callable[..., Any]]:
    """Every composition of `op` in this file by its short name: the functions called `<op>_<name>`."""
    prefix = f"{op}_"
    return {name.removeprefix(prefix): f for name, f in globals().items() if name.startswith(prefix)}


class _Fastest:
    """An op as eager torch at its best: the composition that wins a short trial, for each kind of input anew."""

    def __init__(self, op: str) -> None:
        self._compositions = compositions(op)
        self._chosen: dict[Any, Callable[..., Any]] = {}

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        key = (x.shape, x.stride(), x.dtype, x.device, tuple(kwargs.items()))
        with torch.autocast(x.device.type, enabled=False):  # as our ops do, each keeps the dtype of x
            if key not in self._chosen:
                self._chosen[key] = self._trial(x, args, kwargs)
            result: Tensor = self._chosen[key](x, *args, **kwargs)
        return result

    def _trial(self, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[..., Any]:
        if len(self._compositions) == 1:
            return next(iter(self._compositions.values()))
        best, winner = float("inf"), next(iter(self._compositions.values()))
        with torch.inference_mode(False), torch.enable_grad():
            inputs = [a.detach().clone() if isinstance(a, Tensor) else a for a in (x, *args)]
            inputs[0].requires_grad_()
            for composition in self._compositions.values():
                seconds = min(_seconds(composition, inputs, kwargs) for _ in range(4))
                if seconds < best:
                    best, winner = seconds, composition
        return winner


def _seconds(composition: Callable[..., Any], inputs: list[Any], kwargs: dict[str, Any]) -> float:
    """Forward and backward, once."""
    began = time.perf_counter()
    composition(*inputs, **kwargs).sum().backward()
    if inputs[0].is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


_FASTEST: dict[str, _Fastest] = {}


@contextmanager
def as_ops(*names: str) -> Iterator[None]:
    """Within this context every op of `fastgan.ops`, or each of `names`, is its fastest eager composition."""
    ours = {op.name: op.public for op in ops.discover() if not names or op.name in names}
    try:
        for name in ours:
            if compositions(name):
                setattr(ops, name, _FASTEST.setdefault(name, _Fastest(name)))
        yield
    finally:
        for name, public in ours.items():
            setattr(ops, name, public)
