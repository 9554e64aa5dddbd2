"""The adversarial step, and nothing else.

Everything that changes derives from `cur_nimg`, the real images shown so far: what is random, which images come
next, the average's half-life, whether this iteration is penalised. So N steps, save, load, M steps give the same
bits as N + M steps (same machine and number of threads).
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from fastgan.data import Feed
from fastgan.losses.penalties import Discriminator, PathLength, path_length_weight
from fastgan.losses.wasserstein import clip_weights
from fastgan.training import checkpoint, ema, schedule
from fastgan.training.augmentation import Augmentation
from fastgan.training.graphs import Losses, StepGraphs, Steps
from fastgan.training.settings import RunConfig

Penalty = Callable[[Discriminator, Tensor, Tensor], Tensor]
"""(discriminator, real, fake) -> scalar, the term that the paper adds to the loss (lambda * GP, gamma / 2 * R1)."""

_NETWORKS = ("g", "d", "g_ema")


class Trainer:
    """Trains `generator` against `discriminator`; one `step` is `d_steps` discriminator steps and a generator step.

    Where the loss compares fakes with real images for the generator too, these are the last discriminator step's.

    The discriminator sees all images, real and fake, in every step and penalty, through `augmentation`.

    Receives built objects: networks on `device` in their memory format, `feed.batch(cur_nimg, n)` -> images
    [n, C, R, R] in [-1, 1] and labels, `loss` (a module of fastgan.losses) and `penalty` (or None). `precision`
    is fp32, or bf16: autocast over fp32 parameters.

    Real and fake images go through the discriminator one after the other, never as one batch: batch norm (Radford
    et al. 2016) and minibatch stddev (Karras et al. 2018) must not mix their statistics.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        average: nn.Module,
        feed: Feed,
        loss: ModuleType,
        penalty: Penalty | None,
        augmentation: Augmentation,
        config: RunConfig,
        device: torch.device,
        precision: str,
    ) -> None:
        self.generator, self.discriminator, self.average = generator, discriminator, average
        self.feed, self.loss, self.penalty, self.augmentation = feed, loss, penalty, augmentation
        self.config, self.device, self.precision = config, device, precision
        self.z_dim = int(config.model["z_dim"])
        self.cur_nimg = 0
        self.graphs: StepGraphs | None = None
        """Runs the steps of `step` as graphs, where there is one."""
        self.g_named = {f"g.{name}": p for name, p in generator.named_parameters() if p.requires_grad}
        self.d_named = {f"d.{name}": p for name, p in discriminator.named_parameters() if p.requires_grad}
        loss_config = config.loss
        self.path_length = PathLength().to(device) if loss_config.path_length else None
        g_interval = loss_config.path_length_interval if self.path_length is not None else 1
        d_interval = loss_config.penalty_interval if penalty is not None else 1
        self.g_optimizer = self._adam(self.g_named, config.train.lr_g, g_interval)
        self.d_optimizer = self._adam(self.d_named, config.train.lr_d, d_interval)
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def _adam(self, named: dict[str, nn.Parameter], lr: float, interval: int) -> torch.optim.Adam:
        train = self.config.train
        lr, betas = schedule.lazy_adam(lr, (train.beta1, train.beta2), interval)
        kind = self.device.type
        return torch.optim.Adam(
            named.values(),
            lr=lr,
            betas=betas,
            eps=train.eps,
            fused=kind in ("cpu", "cuda"),
            capturable=kind == "cuda",
        )

    @property
    def iteration_nimg(self) -> int:
        """Real images an iteration shows."""
        return self.config.train.batch * self.config.train.d_steps

    def step(self) -> None:
        """One iteration: d_steps discriminator steps, one generator step, the average."""
        train, loss, iteration = self.config.train, self.config.loss, self.cur_nimg // self.iteration_nimg
        torch.manual_seed(schedule.iteration_seed(train.seed, self.cur_nimg))
        penalise = self.penalty is not None and iteration % loss.penalty_interval == 0
        smooth = self.path_length is not None and iteration % loss.path_length_interval == 0
        steps: Steps = self.graphs or self
        for i in range(train.d_steps):
            real = self.feed.batch(self.cur_nimg + i * train.batch, train.batch).images  # [N, C, R, R]
            self._record(steps.step_d(real, penalise))
        self._record(steps.step_g(train.batch, real if self.loss.GENERATOR_NEEDS_REAL else None, smooth))
        beta = schedule.ema_beta(self.cur_nimg, self.iteration_nimg, train.ema_kimg, train.ema_rampup)
        ema.update(self.average, self.generator, beta)
        self.augmentation.update(iteration)
        self.cur_nimg += self.iteration_nimg

    def step_d(self, real: Tensor, penalise: bool) -> Losses:
        """One discriminator step on `real` [N, C, R, R] and as many fakes; a lazy penalty is a step of its own."""
        interval = self.config.loss.penalty_interval
        together, lazily = penalise and interval == 1, penalise and interval > 1
        with torch.no_grad(), self._autocast():
            fake = self.generator(self._latents(len(real)))
        fake = fake.to(real.dtype)
        self.d_optimizer.zero_grad()
        with self._autocast():
            real_logits, fake_logits = self._judge(real), self._judge(fake)
            loss = self.loss.discriminator(real_logits, fake_logits)
            losses = {"loss_d": loss, "real": real_logits.mean(), "fake": fake_logits.mean()}
            losses |= self.augmentation.observe(self.loss.realness(real_logits, fake_logits))
            if together:
                losses["penalty"] = self._penalty(real, fake)
                loss = loss + losses["penalty"]
        loss.backward()
        self._update_d()
        if lazily:
            self.d_optimizer.zero_grad()
            with self._autocast():
                losses["penalty"] = self._penalty(real, fake)
            (losses["penalty"] * interval).backward()  # its mean over iterations is then the paper's
            self._update_d()
        return _detached(losses)

    def _update_d(self) -> None:
        self.d_optimizer.step()
        if self.config.loss.clip is not None:
            clip_weights(self.d_named.values(), self.config.loss.clip)

    def _penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        assert self.penalty is not None
        return self.penalty(self._judge, real, fake)

    def _judge(self, images: Tensor) -> Tensor:
        """Logits [N], float32, of `images` [N, C, R, R] as augmentation shows them to the discriminator."""
        logits: Tensor = self.discriminator(self.augmentation(images))
        return logits.float()

    def step_g(self, n: int, real: Tensor | None = None, smooth: bool = False) -> Losses:
        """One generator step on `n` fresh fakes; a relativistic loss sets them against as many `real` images.

        smooth: with path length regularisation, a step of its own where it is lazy.
        """
        interval = self.config.loss.path_length_interval
        for parameter in self.d_named.values():
            parameter.requires_grad_(False)  # their gradients would be computed and thrown away
        self.g_optimizer.zero_grad()
        with self._autocast():
            fake = self.generator(self._latents(n))  # [N, C, R, R]
            real_logits = None if real is None else self._judge(real)
            loss = self.loss.generator(self._judge(fake), real_logits)
            losses = {"loss_g": loss}
            if smooth and interval == 1:
                losses["path_length"] = self._path_length(n)
                loss = loss + losses["path_length"]
        loss.backward()
        self.g_optimizer.step()
        for parameter in self.d_named.values():
            parameter.requires_grad_(True)
        if smooth and interval > 1:
            self.g_optimizer.zero_grad()
            with self._autocast():
                losses["path_length"] = self._path_length(n)
            (losses["path_length"] * interval).backward()
            self.g_optimizer.step()
        return _detached(losses)

    def _path_length(self, n: int) -> Tensor:
        assert self.path_length is not None
        weight = self.config.loss.path_length * path_length_weight(self.config.model["resolution"])
        generator: Any = self.generator
        value: Tensor = self.path_length(generator.synthesis, generator.mapping(self._latents(n)))
        return weight * value

    @torch.no_grad()
    def sample(self, z: Tensor) -> Tensor:
        """Images [n, C, R, R] of the averaged generator for `z` [n, Z], in the precision of training."""
        with self._autocast():
            return self.average(z.to(self.device)).float()

    def _latents(self, n: int) -> Tensor:
        return torch.randn(n, self.z_dim, device=self.device)  # [N, Z]

    def _autocast(self) -> torch.autocast:
        # A context for each forward pass: a cast cached under no_grad must not serve a pass that needs gradients.
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _record(self, losses: Losses) -> None:
        for name, value in losses.items():  # a graph writes over its losses, so the first are copied
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
            self._counts[name] = self._counts.get(name, 0) + 1

    def take_losses(self) -> dict[str, float]:
        """Means since the last call: the only place that waits for the device."""
        losses = {name: self._sums[name].item() / self._counts[name] for name in sorted(self._sums)}
        self._sums.clear()
        self._counts.clear()
        return losses

    def finite(self) -> bool:
        """Whether every trained parameter is finite (waits for the device)."""
        norms = torch._foreach_norm([*self.g_named.values(), *self.d_named.values()])
        return bool(torch.stack([norm.float() for norm in norms]).isfinite().all())

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tensors of a checkpoint: (model, optimizer), by name. With `cur_nimg` they are the whole state."""
        model = {
            f"{prefix}.{name}": tensor
            for prefix, module in self._modules().items()
            for name, tensor in module.state_dict().items()
        }
        g = checkpoint.optimizer_tensors(self.g_optimizer, self.g_named)
        return model, g | checkpoint.optimizer_tensors(self.d_optimizer, self.d_named)

    def load_state_dict(self, loaded: checkpoint.Checkpoint) -> None:
        """Take up training where `loaded` was saved; CheckpointError when it is of another architecture."""
        where = str(loaded.path)
        for prefix, module in self._modules().items():
            start = f"{prefix}."
            own = {k.removeprefix(start): v for k, v in loaded.model.items() if k.startswith(start)}
            # A technique that the settings have added since then starts afresh, and one that they dropped is gone.
            if prefix in _NETWORKS or (own and module.state_dict()):
                checkpoint.restore(module, own, where)
        for optimizer, named, start in (
            (self.g_optimizer, self.g_named, "g."),
            (self.d_optimizer, self.d_named, "d."),
        ):
            own = {k: v for k, v in loaded.optimizer.items() if k.startswith(start)}
            checkpoint.restore_optimizer(optimizer, named, own, where)
        if self.graphs is not None:
            self.graphs.forget()
        self.cur_nimg = loaded.state["cur_nimg"]
        self._sums.clear()
        self._counts.clear()

    def _modules(self) -> dict[str, nn.Module]:
        networks = (self.generator, self.discriminator, self.average)
        modules = dict(zip(_NETWORKS, networks, strict=True)) | {"augment": self.augmentation}
        return modules if self.path_length is None else modules | {"path_length": self.path_length}


def _detached(losses: Losses) -> Losses:
    return {name: value.detach().float() for name, value in losses.items()}
