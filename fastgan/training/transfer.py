"""Start from networks that were trained on something else."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fastgan.errors import CheckpointError
from fastgan.training.trainer import Trainer

_NAMED = 3  # tensors that are named one by one


def initialise(trainer: Trainer, tensors: Mapping[str, Tensor], source: str) -> list[str]:
    """Copy from `tensors` (see `checkpoint.load_networks`) into a new `trainer` what has its place there.

    A tensor's place is its name and shape: between resolutions that is most of a StyleGAN. Where there is no trained
    generator, as in a release, the average serves as such. Returns a sentence for each network: what it took, and what
    stays as it was initialised. Raises CheckpointError when nothing fits the generator.
    """
    lacking = not any(name.startswith("g.") for name in tensors)
    sentences = []
    for title, prefix, module in (
        ("generator", "g_ema." if lacking else "g.", trainer.generator),
        ("averaged generator", "g_ema.", trainer.average),
        ("discriminator", "d.", trainer.discriminator),
    ):
        there = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        left = _copy_matching(module, there)
        count = len(module.state_dict())
        if title == "generator" and len(left) == count:
            raise CheckpointError(
                f"nothing in {source} fits the generator by name and shape: it is of another model"
            )
        sentences.append(
            f"the {title} takes {count - len(left)} of its {count} tensors from {source}{_left(left)}"
        )
    for average in trainer.averages.values():
        average.load_state_dict(trainer.average.state_dict())
    return sentences


@torch.no_grad()
def _copy_matching(module: nn.Module, there: Mapping[str, Tensor]) -> list[str]:
    """Copy what has the same name and shape; what was left, each with the reason."""
    left = []
    for name, own in module.state_dict().items():
        if name not in there:
            left.append(f"{name} (absent there)")
        elif there[name].shape != own.shape:
            left.append(f"{name} ({list(there[name].shape)} there, {list(own.shape)} here)")
        else:
            own.copy_(there[name])
    return left


def _left(left: list[str]) -> str:
    if not left:
        return ""
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return f"; as initialised stay {', '.join(left[:_NAMED])}{more}"
