"""What stays as it is while a trained network learns new images, and until when.

FreezeD (Mo et al. 2020) keeps the discriminator's first blocks. Of the generator, too, a part may be enough to train:
the mapping network, the styles, or the scales and shifts of batch norm (Noguchi & Harada 2019). What is frozen can thaw
as training goes on, block by block from the logit to the image. The plan depends on `cur_nimg` alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from fastgan.config import require
from fastgan.nn import StyleEpilogue
from fastgan.training.settings import TrainConfig

_READ_LATENTS = ("mapping", "project", "basis", "condition")
"""What models call the layers that read z and c."""
_NORMS = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Frozen:
    """Parameters that stay as they are until `until` images have been shown."""

    parameters: Sequence[nn.Parameter]
    until: float


def plan(
    train: TrainConfig, generator: nn.Module, discriminator: nn.Module, image: Tensor, *c: Tensor
) -> list[Frozen]:
    """What train.freeze_d and train.tune_g hold, for as long as train.thaw_kimg says.

    image [1, C, R, R] and c [1, condition_dim], where it takes one, are sent through the discriminator to see in which
    order it has its blocks. What never thaws needs no gradient from here on. ConfigError where there is no such part.
    """
    nimg = math.inf if train.thaw_kimg is None else 1000 * train.thaw_kimg
    frozen = []
    if train.freeze_d:
        groups = _first_blocks(discriminator, train.freeze_d, image, *c)
        frozen += [Frozen(group, nimg * k) for k, group in enumerate(reversed(groups), start=1)]
    if train.tune_g != "all":
        tuned = {id(p) for p in _tuned(generator, train.tune_g)}
        frozen.append(Frozen([p for p in generator.parameters() if id(p) not in tuned], nimg))
    for part in frozen:
        if part.until == math.inf:
            for parameter in part.parameters:
                parameter.requires_grad_(False)
    return frozen


def check(train: TrainConfig, generator: nn.Module, discriminator: nn.Module) -> None:
    """ConfigError where these networks lack what train.freeze_d and train.tune_g ask for."""
    if train.freeze_d:
        _blocks(discriminator, train.freeze_d)
    if train.tune_g != "all":
        _tuned(generator, train.tune_g)


def held(frozen: Iterable[Frozen], cur_nimg: int) -> set[nn.Parameter]:
    """The parameters that the iteration at `cur_nimg` leaves as they are."""
    return set(chain.from_iterable(part.parameters for part in frozen if cur_nimg < part.until))


def _tuned(generator: nn.Module, asked: str) -> list[nn.Parameter]:
    """The parameters of the parts of `generator` that train.tune_g = `asked` names."""
    modules = list(generator.modules())
    there: dict[str, list[nn.Module | None]] = {
        "mapping": [getattr(generator, name, None) for name in _READ_LATENTS],
        "styles": [m.affine for m in modules if isinstance(m, StyleEpilogue)],
        "norms": [m for m in modules if isinstance(m, _NORMS)],
    }
    found = {
        name: [p for part in parts if part is not None for p in part.parameters()]
        for name, parts in there.items()
    }
    has = ", ".join(name for name, parameters in found.items() if parameters)
    for name in parse(asked):
        require(bool(found[name]), f"train.tune_g = {asked!r}: this generator has no {name}, only {has}")
    return list(chain.from_iterable(found[name] for name in parse(asked)))


def parse(asked: str) -> list[str]:
    """The parts in train.tune_g = `asked`; ConfigError for one that no generator has."""
    parts = [part.strip() for part in asked.split(",")]
    known = ("mapping", "styles", "norms")
    for part in parts:
        require(
            part in known or parts == ["all"],
            f"train.tune_g = {asked!r} must be all, or some of {', '.join(known)}, as in mapping,styles",
        )
    return parts


@torch.no_grad()
def _first_blocks(
    discriminator: nn.Module, count: int, image: Tensor, *c: Tensor
) -> list[list[nn.Parameter]]:
    """What `image` meets on its way to the end of each of the first `count` blocks.

    The blocks are those of `discriminator.blocks` or `.stages`, in the order in which an image passes them, which is
    seen by sending one through: some models count them from the image, others from the logit.
    """
    blocks = _blocks(discriminator, count)
    met: list[list[nn.Module]] = [[]]

    def meet(module: nn.Module, _: object) -> None:
        if module is not discriminator:
            met[-1].append(module)

    handles = [module.register_forward_pre_hook(meet) for module in discriminator.modules()]
    handles += [block.register_forward_hook(lambda *_: met.append([])) for block in blocks]
    was_training = discriminator.training
    discriminator.eval()(image, *c)  # so that batch norm and spectral normalisation stay as they are
    discriminator.train(was_training)
    for handle in handles:
        handle.remove()
    return [[p for module in group for p in module.parameters(recurse=False)] for group in met[:count]]


def _blocks(discriminator: nn.Module, count: int) -> list[nn.Module]:
    """The blocks of `discriminator`; ConfigError where there are fewer than `count`."""
    blocks = list(getattr(discriminator, "blocks", getattr(discriminator, "stages", ())))
    require(
        count <= len(blocks),
        f"train.freeze_d = {count} is too much: this discriminator has {len(blocks)} blocks",
    )
    return blocks
