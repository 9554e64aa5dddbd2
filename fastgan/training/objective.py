"""What the two networks minimise: the adversarial loss, its penalties, and nothing about how it is minimised.

Real and fake images go through the discriminator one after the other: batch norm (Radford et al. 2016) and minibatch
stddev (Karras et al. 2018) must not mix their statistics. One that judges every image alone sees them as one batch.

A discriminator has one logit an image [N], or one a patch [N, P]: losses are means over all of them.
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from fastgan import draws, models
from fastgan.losses.auxiliary import auxiliary
from fastgan.losses.penalties import Discriminator, PathLength, path_length_weight
from fastgan.training.augmentation import Augmentation
from fastgan.training.settings import RunConfig

Penalty = Callable[[Discriminator, Tensor, Tensor], Tensor]
"""(discriminator, real, fake) -> scalar, the term that the paper adds to the loss (lambda * GP, gamma / 2 * R1)."""
Losses = dict[str, Tensor]
"""Scalars by name, for the log."""
Term = tuple[Tensor, Losses]
"""What to minimise, and what the log should show of it."""
_Verdict = tuple[Tensor, Tensor | None]
"""Logits, and the loss of the auxiliary classifier, if there is one."""


class Objective:
    """The terms of both networks, in the `precision` of training: fp32, or bf16, autocast over fp32 parameters.

    The discriminator sees all images, real and fake, in every term, through `augmentation`. Where the loss compares
    fakes with real images for the generator too, the caller gives these.

    c [N, condition_dim] says what an image shows, or should show; None in unconditional networks. In the
    discriminator's terms it is that of the real images, for the fakes and points between the two as well: then a
    fake's partner differs from it in nothing that c knows. Penalties hold it fixed.
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
        binary: Tensor | None = None,
    ) -> None:
        """binary: bool [A], the attributes that are 0 or 1, for an auxiliary classifier."""
        self.generator = generator
        # One that does not grow is never asked for a size.
        self.discriminator = cast("models.GrowingDiscriminator", discriminator)
        self.loss, self.penalty, self.augmentation = loss, penalty, augmentation
        self.config, self.device, self.precision = config, device, precision
        self.z_dim = config.model.z_dim
        self.binary = torch.zeros(0, dtype=torch.bool, device=device) if binary is None else binary.to(device)
        self.path_length = PathLength().to(device) if config.loss.path_length else None
        scheduled = config.loss.penalty_weight_end is not None
        self.strength = torch.ones((), device=device) if scheduled else None
        """The share of the penalty's weight in force, where that changes; a captured step reads it anew."""
        self.size: dict[str, Any] = {}
        """What both networks are called with while they grow: resolution and alpha."""

    def fakes(self, real: Tensor, c: Tensor | None = None, *, gradients: bool = False) -> Tensor:
        """As many fakes as `real` [N, C, R, R], in its dtype: what the discriminator learns from.

        gradients: so that the generator can learn from them as well.
        """
        with torch.set_grad_enabled(gradients), self.autocast():
            fake: Tensor = self.generator(self._latents(len(real)), c, **self.size)
        return fake.to(real.dtype)

    def discriminate(self, real: Tensor, fake: Tensor, c: Tensor | None = None, *, penalise: bool) -> Term:
        """The discriminator's loss on `real` and `fake` [N, C, R, R], with its penalty where `penalise`."""
        with self.autocast():
            shown, shown_fake = self.augmentation(real), self.augmentation(fake)
            phi, phi_fake = self._see_both(shown, shown_fake)
            real_logits, real_error = self._verdict(phi, c)
            fake_logits, fake_error = self._verdict(phi_fake, c)
            own: Tensor | None = self.discriminator.own_error(phi, shown)
            loss = self.loss.discriminator(real_logits, fake_logits)
            losses = {"loss_d": loss, "real": real_logits.mean(), "fake": fake_logits.mean()}
            losses |= self.augmentation.observe(self.loss.realness(real_logits, fake_logits))
        if real_error is not None and fake_error is not None:
            loss = loss + self.config.loss.auxiliary_weight * (real_error + fake_error)
            losses |= {"auxiliary_real": real_error, "auxiliary_fake": fake_error}
        if own is not None:
            loss, losses = loss + own, losses | {"own_error": own}
        if penalise:
            penalty, more = self.penalise(real, fake, c)
            loss, losses = loss + penalty, losses | more
        return loss, losses

    def penalise(self, real: Tensor, fake: Tensor, c: Tensor | None = None) -> Term:
        """The penalty on the discriminator alone."""
        assert self.penalty is not None
        with self.autocast():
            penalty = self.penalty(lambda images: _of_images(self._logits(images, c)), real, fake)
        if self.strength is not None:
            penalty = penalty * self.strength
        return penalty, {"penalty": penalty}

    def generate(
        self,
        n: int,
        real: Tensor | None,
        c: Tensor | None = None,
        *,
        smooth: bool,
        fake: Tensor | None = None,
    ) -> Term:
        """The generator's loss on `n` fresh fakes, against `real` where the loss is relativistic.

        smooth: with path length regularisation. fake: `fakes` with gradients, in the place of fresh ones.
        """
        with self.autocast():
            if fake is None:
                fake = self.generator(self._latents(n), c, **self.size)  # [N, C, R, R]
            real_logits = None if real is None else self._logits(real, c)
            logits, error = self._judge(fake, c)
            loss = self.loss.generator(logits, real_logits)
        losses = {"loss_g": loss}
        if error is not None:
            loss = loss + self.config.loss.auxiliary_weight * error
        if smooth:
            lengths, shown = self.smooth(n, c)
            loss, losses = loss + lengths, losses | shown
        return loss, losses

    def reconstruct(self, real: Tensor, z: Tensor, c: Tensor | None = None) -> Term:
        """loss.reconstruction * E|G(z) - x|, of `real` images x [N, C, R, R] and latents z [N, Z] made of them."""
        with self.autocast():
            images = self.generator(z, c, **self.size)
        error = (images.float() - real).abs().mean()
        return self.config.loss.reconstruction * error, {"reconstruction": error}

    def smooth(self, n: int, c: Tensor | None = None) -> Term:
        """Path length regularisation of the generator alone, on `n` fresh latents."""
        assert self.path_length is not None
        resolution = self.size.get("resolution", self.config.model.resolution)
        weight = self.config.loss.path_length * path_length_weight(resolution)
        generator = cast("models.Styled", self.generator)
        with self.autocast():
            w = generator.mapping(self._latents(n), c)  # [N, layers, W]
            if self.size:
                w = w[:, : generator.layers(resolution)]  # those not there yet must not count in the mean
            value = weight * self.path_length(partial(generator.synthesis, **self.size), w)
        return value, {"path_length": value}

    def autocast(self) -> torch.autocast:
        """A context for each forward pass: a cast cached under no_grad must not serve a pass that needs gradients."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _features(self, images: Tensor) -> Tensor:
        """What the discriminator sees in `images` [N, C, R, R] as augmentation shows them: phi [N, F]."""
        phi: Tensor = self.discriminator.features(self.augmentation(images), **self.size)
        return phi

    def _logits(self, images: Tensor, c: Tensor | None) -> Tensor:
        """Logits [N], float32, of `images` [N, C, R, R]."""
        logits: Tensor = self.discriminator.judge(self._features(images), c)
        return logits.float()

    def _judge(self, images: Tensor, c: Tensor | None) -> _Verdict:
        """Logits [N], float32, of `images` [N, C, R, R], and the loss of the auxiliary classifier, if there is one."""
        return self._verdict(self._features(images), c)

    def _see_both(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """What the discriminator sees in both, as they are shown; in one pass where it permits that."""
        if self.discriminator.judges_alone:
            phi, phi_fake = self.discriminator.features(torch.cat([real, fake]), **self.size).chunk(2)
            return phi, phi_fake
        return self.discriminator.features(real, **self.size), self.discriminator.features(fake, **self.size)

    def _verdict(self, phi: Tensor, c: Tensor | None) -> _Verdict:
        error = None
        if c is not None and self.discriminator.auxiliary is not None:
            error = auxiliary(self.discriminator.guess(phi), c, self.discriminator.classes, self.binary)
        return self.discriminator.judge(phi, c).float(), error

    def _latents(self, n: int) -> Tensor:
        return draws.normal(n, self.z_dim, device=self.device)  # [N, Z]


def _of_images(logits: Tensor) -> Tensor:
    """[N], or of patches [N, P] their mean: what a penalty asks the gradient of."""
    return logits if logits.ndim == 1 else logits.mean(1)
