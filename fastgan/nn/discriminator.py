"""Layers of a discriminator with an equalised learning rate (Karras et al. 2018, 2019)."""

import torch
from torch import Tensor, nn

from fastgan import ops
from fastgan.nn.equalized import EqualizedConv2d


class ConvAct(nn.Module):
    """Convolution, with `down` a blurred halving, then bias and leaky ReLU (slope 0.2) in one fused op.

    The paper blurs with [1, 2, 1], convolves, then takes the mean of 2x2 pixels. `ops.downsample2x` does blur
    and mean in one pass, here after the convolution, which commutes with the blur but for the zero padding of
    the outermost pixels. Bias and activation come after it, on a quarter of the pixels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, *, down: bool = False
    ) -> None:
        super().__init__()
        self.down = down
        self.conv = EqualizedConv2d(in_channels, out_channels, kernel_size)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H, W], or [N, out, H // 2, W // 2] with `down`."""
        x = self.conv(x)
        if self.down:
            x = ops.downsample2x(x)
        return ops.bias_act(x, self.bias)


class DownBlock(nn.Sequential):
    """One resolution of the discriminator: [N, in, H, W] -> [N, out, H / 2, W / 2]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            ConvAct(in_channels, in_channels),
            ConvAct(in_channels, out_channels, down=True),
        )


class MinibatchStddev(nn.Module):
    """Append how much the samples of a group differ, as one more channel (Karras et al. 2018, section 3).

    A group is `group_size` consecutive samples, or, where that does not divide the batch, the largest smaller
    number that does. So a batch of real followed by fake samples is not mixed as long as each half is a
    multiple of `group_size`.
    """

    def __init__(self, group_size: int = 4) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C + 1, H, W], same dtype; the statistic itself is computed in float32 or wider."""
        n, _, h, w = x.shape
        size = next((g for g in range(min(self.group_size, n), 0, -1) if n % g == 0), 1)
        groups = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(0, (n // size, size))
        centred = groups - groups.mean(1, keepdim=True)  # [N / size, size, C, H, W]
        # The 1e-8 keeps the square root differentiable, twice, where all samples agree.
        stddev = (centred.square().mean(1) + 1e-8).sqrt().mean((1, 2, 3))  # [N / size]
        channel = stddev.to(x.dtype).repeat_interleave(size).reshape(n, 1, 1, 1).expand(n, 1, h, w)
        # Dense, so that `cat` keeps x's memory format.
        return torch.cat([x, channel.contiguous(memory_format=torch.channels_last)], dim=1)
