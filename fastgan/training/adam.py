"""Adam as training uses it: rescaled for lazy terms, fused, its rate a tensor where that changes."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from fastgan.training import schedule
from fastgan.training.settings import TrainConfig


def make(
    parameters: Iterable[nn.Parameter], lr: float, interval: int, train: TrainConfig, device: torch.device
) -> torch.optim.Adam:
    """An optimiser that takes one more step every `interval` (see `schedule.lazy_adam`).

    A learning rate with a schedule is a tensor on `device`, which `follow` fills, so that captured steps read it anew.
    """
    lr, betas = schedule.lazy_adam(lr, (train.beta1, train.beta2), interval)
    changes = train.lr_warmup_kimg > 0 or train.lr_decay != "none"
    return torch.optim.Adam(
        [{"params": list(parameters), "whole_lr": lr}],
        lr=torch.tensor(lr, device=device) if changes else lr,
        betas=betas,
        eps=train.eps,
        fused=device.type in ("cpu", "cuda"),
        capturable=device.type == "cuda",
    )


def follow(optimizer: torch.optim.Optimizer, train: TrainConfig, cur_nimg: int, share: float = 1.0) -> None:
    """Set the learning rate for the iteration at `cur_nimg` to `share` of what settings and schedule make it."""
    for group in optimizer.param_groups:
        lr = group["whole_lr"] * share
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr * schedule.learning_rate(train, cur_nimg))
        else:
            group["lr"] = lr
