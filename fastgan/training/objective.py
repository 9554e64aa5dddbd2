"""What the two networks minimise: the adversarial loss, its penalties, and nothing about how it is minimised.

Real and fake images go through the discriminator one after the other, never as one batch: batch norm (Radford
et al. 2016) and minibatch stddev (Karras et al. 2018) must not mix their statistics.
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from fastgan import draws
from fastgan.losses.penalties import Discriminator, PathLength, path_length_weight
from fastgan.training.augmentation import Augmentation
from fastgan.training.settings import RunConfig

Penalty = Callable[[Discriminator, Tensor, Tensor], Tensor]
"""(discriminator, real, fake) -> scalar, the term that the paper adds to the loss (lambda * GP, gamma / 2 * R1)."""
Losses = dict[str, Tensor]
"""Scalars by name, for the log."""
Term = tuple[Tensor, Losses]
"""What to minimise, and what the log should show of it."""


class Objective:
    """The terms of both networks, in the `precision` of training: fp32, or bf16, autocast over fp32 parameters.

    The discriminator sees all images, real and fake, in every term, through `augmentation`. Where the loss compares
    fakes with real images for the generator too, the caller gives these.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: ModuleType,
        penalty: Penalty | None,
        augmentation: Augmentation,
        config: RunConfig,
        device: torch.device,
        precision: str,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.loss, self.penalty, self.augmentation = loss, penalty, augmentation
        self.config, self.device, self.precision = config, device, precision
        self.z_dim = int(config.model["z_dim"])
        self.path_length = PathLength().to(device) if config.loss.path_length else None
        scheduled = config.loss.penalty_weight_end is not None
        self.strength = torch.ones((), device=device) if scheduled else None
        """The share of the penalty's weight in force, where that changes; a captured step reads it anew."""
        self.size: dict[str, Any] = {}
        """What both networks are called with while they grow: resolution and alpha."""

    @torch.no_grad()
    def fakes(self, real: Tensor) -> Tensor:
        """As many fakes as `real` [N, C, R, R], in its dtype, without gradients: what the discriminator learns from."""
        with self.autocast():
            fake: Tensor = self.generator(self._latents(len(real)), **self.size)
        return fake.to(real.dtype)

    def discriminate(self, real: Tensor, fake: Tensor, *, penalise: bool) -> Term:
        """The discriminator's loss on `real` and `fake` [N, C, R, R], with its penalty where `penalise`."""
        with self.autocast():
            real_logits, fake_logits = self._judge(real), self._judge(fake)
            loss = self.loss.discriminator(real_logits, fake_logits)
            losses = {"loss_d": loss, "real": real_logits.mean(), "fake": fake_logits.mean()}
            losses |= self.augmentation.observe(self.loss.realness(real_logits, fake_logits))
        if penalise:
            penalty, shown = self.penalise(real, fake)
            loss, losses = loss + penalty, losses | shown
        return loss, losses

    def penalise(self, real: Tensor, fake: Tensor) -> Term:
        """The penalty on the discriminator alone."""
        assert self.penalty is not None
        with self.autocast():
            penalty = self.penalty(self._judge, real, fake)
        if self.strength is not None:
            penalty = penalty * self.strength
        return penalty, {"penalty": penalty}

    def generate(self, n: int, real: Tensor | None, *, smooth: bool) -> Term:
        """The generator's loss on `n` fresh fakes, against `real` where the loss is relativistic.

        smooth: with path length regularisation.
        """
        with self.autocast():
            fake = self.generator(self._latents(n), **self.size)  # [N, C, R, R]
            real_logits = None if real is None else self._judge(real)
            loss = self.loss.generator(self._judge(fake), real_logits)
        losses = {"loss_g": loss}
        if smooth:
            lengths, shown = self.smooth(n)
            loss, losses = loss + lengths, losses | shown
        return loss, losses

    def smooth(self, n: int) -> Term:
        """Path length regularisation of the generator alone, on `n` fresh latents."""
        assert self.path_length is not None
        resolution = self.size.get("resolution", self.config.model["resolution"])
        weight = self.config.loss.path_length * path_length_weight(resolution)
        generator: Any = self.generator
        with self.autocast():
            w = generator.mapping(self._latents(n))  # [N, layers, W]
            if self.size:
                w = w[:, : generator.layers(resolution)]  # those not there yet must not count in the mean
            value = weight * self.path_length(partial(generator.synthesis, **self.size), w)
        return value, {"path_length": value}

    def autocast(self) -> torch.autocast:
        """A context for each forward pass: a cast cached under no_grad must not serve a pass that needs gradients."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _judge(self, images: Tensor) -> Tensor:
        """Logits [N], float32, of `images` [N, C, R, R] as augmentation shows them to the discriminator."""
        logits: Tensor = self.discriminator(self.augmentation(images), **self.size)
        return logits.float()

    def _latents(self, n: int) -> Tensor:
        return draws.normal(n, self.z_dim, device=self.device)  # [N, Z]
