"""All that a training step changes, which is what a checkpoint holds."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fastgan.losses.penalties import PathLength
from fastgan.training import adam, checkpoint, ema, weights
from fastgan.training.augmentation import Augmentation
from fastgan.training.codes import Codes
from fastgan.training.distributed import Processes
from fastgan.training.guard import Guard
from fastgan.training.settings import RunConfig

_NETWORKS = ("g", "d", "g_ema")


class Trained:
    """Both networks and their optimisers, guarded; the generator's averages; what other techniques keep.

    With `cur_nimg`, the real images shown so far, and `rollbacks` that is the whole state of training.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        average: nn.Module,
        augmentation: Augmentation,
        path_length: PathLength | None,
        codes: Codes | None,
        penalised: bool,
        config: RunConfig,
        device: torch.device,
        processes: Processes,
    ) -> None:
        """average: a copy of the generator. penalised: whether the discriminator's loss has a penalty."""
        train, loss = config.train, config.loss
        self.generator, self.discriminator, self.average = generator, discriminator, average
        self.config, self.device, self.processes = config, device, processes
        self.cur_nimg = 0
        self.rollbacks = 0
        """How often training has gone back to an earlier checkpoint: other random numbers, and smaller steps."""
        self.averages = ema.averages(average, train.half_lives)
        """Averages of the generator by what checkpoints call them; `average` is the first."""
        self.g_named = {f"g.{name}": p for name, p in generator.named_parameters() if p.requires_grad}
        self.d_named = {f"d.{name}": p for name, p in discriminator.named_parameters() if p.requires_grad}
        g_interval = loss.path_length_interval if path_length is not None else 1
        d_interval = loss.penalty_interval if penalised else 1
        self.g_optimizer = adam.make(self.g_named.values(), train.lr_g, g_interval, train, device)
        self.d_optimizer = adam.make(self.d_named.values(), train.lr_d, d_interval, train, device)
        lengths: Sequence[nn.Module] = [] if path_length is None else [path_length]
        written = [generator, discriminator, augmentation, *lengths]
        self.g_guard, self.d_guard = Guard(self.g_optimizer, written), Guard(self.d_optimizer, written)
        self._kept = {
            **{"g": generator, "d": discriminator, **self.averages, "augment": augmentation},
            **{"guard_g": self.g_guard, "guard_d": self.d_guard},
            **({} if path_length is None else {"path_length": path_length}),
            **({} if codes is None else {"codes": codes}),
        }

    def stuck(self) -> bool:
        """Whether one of the networks has had no step for many iterations (waits for the device)."""
        return self.g_guard.stuck() or self.d_guard.stuck()

    def finite(self) -> bool:
        """Whether every trained parameter is finite (waits for the device)."""
        norms = torch._foreach_norm([*self.g_named.values(), *self.d_named.values()])
        return bool(torch.stack([norm.float() for norm in norms]).isfinite().all())

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tensors of a checkpoint: (model, optimizer), by name."""
        model = {
            f"{prefix}.{name}": tensor
            for prefix, module in self._kept.items()
            for name, tensor in module.state_dict().items()
        }
        g = checkpoint.optimizer_tensors(self.g_optimizer, self.g_named)
        return model, g | checkpoint.optimizer_tensors(self.d_optimizer, self.d_named)

    def load_state_dict(self, loaded: checkpoint.Checkpoint) -> None:
        """Take up training where `loaded` was saved; CheckpointError when it is of another architecture."""
        where = str(loaded.path)
        self.g_guard.reset()
        self.d_guard.reset()
        for prefix, module in self._kept.items():
            start = f"{prefix}."
            own = {k.removeprefix(start): v for k, v in loaded.model.items() if k.startswith(start)}
            if not own and prefix.startswith("g_ema_"):  # a half-life that was not asked for then
                own = {k.removeprefix("g."): v for k, v in loaded.model.items() if k.startswith("g.")}
            # A technique that the settings have added since then starts afresh, and one that they dropped is gone.
            if prefix in _NETWORKS or (own and module.state_dict()):
                weights.restore(module, own, where)
        for optimizer, named, start in (
            (self.g_optimizer, self.g_named, "g."),
            (self.d_optimizer, self.d_named, "d."),
        ):
            own = {k: v for k, v in loaded.optimizer.items() if k.startswith(start)}
            checkpoint.restore_optimizer(optimizer, named, own, where)
        self.cur_nimg = loaded.state["cur_nimg"]
        self.go_back(len(loaded.state.get("rollbacks", ())))

    def go_back(self, rollbacks: int) -> None:
        """From here on as after so many rollbacks: other random numbers, and the learning rates halved each time."""
        self.rollbacks = rollbacks

    def spread(self) -> None:
        """Give every process the state of the first, bit for bit: at the start, and where that was loaded anew."""
        self.processes.lead("spread")
        model, optimizer = self.state_dict()
        where = torch.tensor([self.cur_nimg, self.rollbacks])
        self.processes.spread_([where, *model.values(), *optimizer.values()])
        self.cur_nimg, rollbacks = where.tolist()
        if rollbacks != self.rollbacks:
            self.go_back(rollbacks)
