"""Start from networks that were trained on something else."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fastgan.config import require
from fastgan.errors import CheckpointError, ConfigError
from fastgan.naming import named
from fastgan.training import pretrained
from fastgan.training.settings import TrainConfig
from fastgan.training.trainer import Trainer

_NAMED = 3  # tensors that are named one by one
_SHARE = 0.01
"""Of a generator's weights must come from the other one: counters, biases and small layers fit between any two."""


def check(train: TrainConfig) -> None:
    """ConfigError where a new run would freeze what nobody has trained."""
    for key, frozen in (("freeze_d", train.freeze_d > 0), ("tune_g", train.tune_g != "all")):
        require(
            bool(train.init_from) or not frozen,
            f"train.{key} = {getattr(train, key)!r} freezes what a network has learnt, and a run from scratch has "
            f"learnt nothing: start from one ({named('init_from')}; in fastgan augment --gan-init-from), or leave it "
            "out",
        )


def initialise(
    trainer: Trainer,
    tensors: Mapping[str, Tensor],
    source: str,
    *,
    features: Mapping[str, str] | None = None,
) -> list[str]:
    """Copy from `tensors` (see `checkpoint.load_networks`) into a new `trainer` what has its place there.

    A tensor's place is its name and shape: between resolutions that is most of a StyleGAN. Where there is no trained
    generator, as in a release, the average serves as such. features: those that the other discriminator was trained on
    (`pretrained.identity`); what it knows of others means nothing here. Returns a sentence for each network: what it
    took, and what stays as it was initialised. Raises CheckpointError when nothing fits the generator, and ConfigError
    when something would be frozen that was not taken.
    """
    trained = "g." if any(name.startswith("g.") for name in tensors) else "g_ema."
    sentences = [
        _initialise(
            trainer.generator, "generator", trained, tensors, source, needed=True, frozen_by="tune_g"
        ),
        _initialise(trainer.average, "averaged generator", "g_ema.", tensors, source),
    ]
    for average in trainer.averages.values():
        average.load_state_dict(trainer.average.state_dict())
    apart = pretrained.difference(trainer.discriminator, features)
    if apart is not None:
        return [*sentences, f"the discriminator stays as initialised, for that in {source} was {apart}"]
    frozen_by = "freeze_d" if trainer.config.train.freeze_d else ""
    taken = _initialise(trainer.discriminator, "discriminator", "d.", tensors, source, frozen_by=frozen_by)
    return [*sentences, taken]


def _initialise(
    module: nn.Module,
    title: str,
    prefix: str,
    tensors: Mapping[str, Tensor],
    source: str,
    *,
    needed: bool = False,
    frozen_by: str = "",
) -> str:
    """needed: whether it must have its place there. frozen_by: the setting that freezes parts of `module`, if any."""
    there = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    left = _copy_matching(module, there)
    if needed and _share(module, left) < _SHARE:
        raise CheckpointError(
            f"next to nothing in {source} fits the {title} by name and shape: it is of another model (the preset "
            "few-shot takes that of what it starts from), or of another resolution, which dcgan and swift do not bear"
        )
    frozen = [left[name] for name, p in module.named_parameters() if not p.requires_grad and name in left]
    if frozen_by and frozen:
        raise ConfigError(
            f"train.{frozen_by} would freeze {_listed(frozen)} of the {title}, which {source} does not have: start "
            f"from a model that has it, or leave out train.{frozen_by}"
        )
    count = len(module.state_dict())
    stays = f"; as initialised stay {_listed([*left.values()])}" if left else ""
    return f"the {title} takes {count - len(left)} of its {count} tensors from {source}{stays}"


@torch.no_grad()
def _copy_matching(module: nn.Module, there: Mapping[str, Tensor]) -> dict[str, str]:
    """Copy what has the same name and shape; what was left by name, each with the reason."""
    left = {}
    for name, own in module.state_dict().items():
        if name not in there:
            left[name] = f"{name} (absent there)"
        elif there[name].shape != own.shape:
            left[name] = f"{name} ({list(there[name].shape)} there, {list(own.shape)} here)"
        else:
            own.copy_(there[name])
    return left


def _share(module: nn.Module, left: Mapping[str, str]) -> float:
    """The share of the weights, parameters of two dimensions or more, that was not left."""
    sizes = {name: p.numel() for name, p in module.named_parameters() if p.ndim >= 2}
    return sum(size for name, size in sizes.items() if name not in left) / max(sum(sizes.values()), 1)


def _listed(left: list[str]) -> str:
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return f"{', '.join(left[:_NAMED])}{more}"
