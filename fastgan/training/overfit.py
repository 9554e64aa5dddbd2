"""Is the discriminator learning its images by heart? r_v asks it about images that it was never shown.

Karras et al. 2020 (ADA), eq. 1: r_v = (E[D(train)] - E[D(val)]) / (E[D(train)] - E[D(fake)]). 0: held-out images look
as real as those it trains on; 1: they look as false as fakes.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fastgan.training import growing, schedule
from fastgan.training.trainer import Trainer

_IMAGES = 256
_SURE = 3.0  # standard errors


@contextmanager
def untouched(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Give all buffers back as they were: a forward pass in train mode moves averages."""
    buffers = [buffer for module in modules for buffer in module.buffers()]
    kept = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, before in zip(buffers, kept, strict=True):
            buffer.copy_(before)


@torch.no_grad()
def gap(trainer: Trainer) -> dict[str, float]:
    """`r_v` and the mean logit `val` on held-out images, all three means taken now, through the augmentation.

    Without `r_v` while training images cannot be told from fakes: a quotient of two noises says nothing. Waits for
    the device; training goes on as if it had not been asked. Empty where nothing is held out.
    """
    held = trainer.feed.held
    if not len(held):
        return {}
    # Other random numbers than the steps'; each step seeds its own.
    torch.manual_seed(schedule.iteration_seed(trainer.config.train.seed, ~trainer.cur_nimg))
    logits: dict[str, list[Tensor]] = {"train": [], "val": [], "fake": []}
    phase, batch = trainer.phase, min(trainer.config.train.batch, len(held), _IMAGES)
    alpha = phase.alpha(trainer.cur_nimg)
    size = phase.arguments(alpha)
    with untouched([trainer.generator, trainer.discriminator]):
        for start in range(0, min(len(held), _IMAGES) - batch + 1, batch):
            real = {
                "train": trainer.feed.batch(trainer.cur_nimg + start, batch),
                "val": trainer.feed.look(held[start : start + batch]),
            }
            images = {name: growing.shrink(b.images, phase.resolution, alpha) for name, b in real.items()}
            known = {name: trainer.encode(b) for name, b in real.items()}
            known["fake"] = known["train"]
            with trainer.objective.autocast():
                z = torch.randn(batch, trainer.z_dim, device=trainer.device)
                images["fake"] = trainer.generator(z, known["fake"], **size).float()
            for name, value in images.items():
                with trainer.objective.autocast():
                    augmented = trainer.objective.augmentation(value)
                    judged = trainer.discriminator(augmented, known[name], **size)
                logits[name].append(judged.float())
    train, val, fake = (torch.cat(logits[name]).cpu() for name in ("train", "val", "fake"))  # [n] each
    distance = (train.mean() - fake.mean()).item()
    error = ((train.var() + fake.var()) / len(train)).sqrt().item()
    readings = {"val": val.mean().item()}
    if distance > _SURE * error:
        readings["r_v"] = (train.mean() - val.mean()).item() / distance
    return readings
