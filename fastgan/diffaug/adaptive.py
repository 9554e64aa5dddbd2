"""The adaptive augmentation probability (Karras et al. 2020, ADA, section 3.2).

An overfitting discriminator is sure of the images it has seen: r_t = E[sign(D(real))] rises from 0 towards 1. p goes
up while r_t is above its target and down while it is below, by a fixed amount an image.
"""

import torch
from torch import Tensor, nn

TARGET = 0.6
"""r_t at which p stands still (the paper, section 3.2)."""
KIMG = 500.0
"""Thousands of real images in which p goes from 0 to 1 at its fastest."""
INTERVAL = 4
"""Iterations from one update of p to the next."""


class Controller(nn.Module):
    """p and the sums of r_t as three scalar buffers: the state dict is the whole state. Never waits for the device.

    `observe` in each discriminator step, `update` every INTERVAL iterations. With several processes, sum `signs` and
    `seen` over them before `update`: then p is the same everywhere.
    """

    p: Tensor
    signs: Tensor
    seen: Tensor

    def __init__(self, *, target: float = TARGET, kimg: float = KIMG, initial: float = 0.0) -> None:
        super().__init__()
        self.target, self.kimg = target, kimg
        self.register_buffer("p", torch.tensor(float(initial)))
        self.register_buffer("signs", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))

    @torch.no_grad()
    def observe(self, realness: Tensor) -> None:
        """Count a batch: `realness` [N] of the loss, positive where a real image was recognised."""
        self.signs += realness.sign().sum()
        self.seen += realness.numel()

    @torch.no_grad()
    def update(self) -> None:
        """Move `p` by the images seen since the last update, and start over; without any it stays."""
        direction = (self.overfitting() - self.target).sign()
        self.p += direction * self.seen / (1000 * self.kimg)
        self.p.clamp_(0.0, 1.0)
        self.signs.zero_()
        self.seen.zero_()

    def overfitting(self) -> Tensor:
        """r_t since the last update, in [-1, 1]; 0 before the first image."""
        return self.signs / self.seen.clamp_min(1.0)
