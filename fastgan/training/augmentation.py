"""What the discriminator sees instead of the images themselves: a policy of fastgan.diffaug, and its probability."""

import torch
from torch import Tensor, nn

from fastgan import diffaug
from fastgan.diffaug.adaptive import INTERVAL
from fastgan.training.settings import TrainConfig


class Augmentation(nn.Module):
    """Augments every image on its way to the discriminator; with `ada` in the policy, as often as r_t asks for.

    The state dict is the controller's (empty for a fixed policy). p is a tensor that changes in place, so a captured
    step reads it anew.
    """

    def __init__(self, policy: diffaug.Policy, controller: diffaug.Controller | None) -> None:
        super().__init__()
        self.policy, self.controller = policy, controller

    def forward(self, images: Tensor) -> Tensor:
        """images: [N, C, R, R] -> the same shape; random numbers from torch's default generator."""
        return self.policy(images, 1.0 if self.controller is None else self.controller.p)

    def observe(self, realness: Tensor) -> dict[str, Tensor]:
        """Count what the discriminator made of a batch of real images, `realness` [N]; what the log should show."""
        shown = {"r_t": realness.detach().sign().mean()}
        if self.controller is not None:
            self.controller.observe(realness)
            shown["augment_p"] = self.controller.p
        return shown

    def sums(self) -> tuple[Tensor, ...]:
        """What `observe` adds to: with several processes, its sums over them."""
        return () if self.controller is None else (self.controller.signs, self.controller.seen)

    def update(self, iteration: int) -> None:
        """Move p, at the end of every INTERVAL-th `iteration`."""
        if self.controller is not None and iteration % INTERVAL == INTERVAL - 1:
            self.controller.update()


def make(train: TrainConfig, device: torch.device) -> Augmentation:
    """What `train.augment` asks for."""
    policy = diffaug.load(train.augment)
    controller = None
    if policy.adaptive:
        controller = diffaug.Controller(target=train.ada_target, kimg=train.ada_kimg)
    return Augmentation(policy, controller).to(device)
