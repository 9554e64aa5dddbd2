"""Settings and data -> a trainer: looks up the model, the loss and the penalty by name and builds them."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastgan import diffaug, losses, models
from fastgan.config import require
from fastgan.data import Feed
from fastgan.errors import ConfigError
from fastgan.losses.penalties import PENALTIES
from fastgan.naming import named
from fastgan.nn import ProjectedDiscriminator, projected, recompute_blocks, spectral_norm
from fastgan.nn.projected import Features
from fastgan.training import augmentation, conditions, graphs, growing, planned, pretrained, thawing, weights
from fastgan.training.codes import Codes
from fastgan.training.distributed import ALONE, Processes
from fastgan.training.loss_settings import DiscriminatorConfig, LossConfig
from fastgan.training.objective import Penalty
from fastgan.training.settings import RunConfig
from fastgan.training.trainer import Trainer


def resolve(
    config: RunConfig, dataset: conditions.Known | None = None, *, portions: bool = False
) -> RunConfig:
    """Check every name and setting of `config`, and fill in the model's defaults and the data's geometry.

    Portions of the planned images become thousands of them (`planned.settle`), unless `portions` are to stay.
    """
    if not portions:
        config = replace(config, train=planned.settle(config.train))
    model = config.model
    sized = dataset is not None or model.asked("resolution") is not None
    if dataset is not None:
        data: dict[str, Any] = conditions.sizes(config.data.conditional, dataset)
        model = replace(model, resolution=dataset.resolution, img_channels=dataset.channels, **data)
    model = model.decided()
    losses.load(config.loss.name)
    make_penalty(config.loss)
    diffaug.load(config.train.augment)
    thawing.parse(config.train.tune_g)
    able = models.load(model.name).Generator
    if config.loss.spectral_norm and config.train.checkpoint_activations:
        raise ConfigError(
            "train.checkpoint_activations cannot go with loss.spectral_norm, whose weights move with every pass "
            f"through a block: leave one of them out ({named('accumulate')} saves memory too)"
        )
    if config.loss.path_length and not able.has_truncation:
        raise ConfigError(
            f"loss.path_length needs a model that makes images from an intermediate latent w, as stylegan does, and "
            f"{model.name} does not: set it to 0"
        )
    if config.train.grow_from is not None:
        require(
            able.grows,
            "train.grow_from needs a model that runs at lower resolutions, as stylegan does, and "
            f"{model.name} does not: leave it out",
        )
        if sized:
            growing.check(config.train, model.resolution)
    features = config.discriminator.features
    if pretrained.is_file(features):  # found again by a run that is resumed elsewhere
        features = str(Path(features).absolute())
    discriminator = replace(config.discriminator, features=features)
    return replace(config, model=model, discriminator=discriminator)


def make_penalty(loss: LossConfig) -> Penalty | None:
    """The term that `loss.penalty` adds to the discriminator's loss, or None.

    gp: lambda * GP at points between real and fake (Gulrajani et al. 2017); r1, r2, r1+r2: gamma / 2 times the squared
    gradient norm at real images, at fakes, at both (Mescheder et al. 2018), with lambda or gamma = loss.penalty_weight.
    """
    if loss.penalty not in PENALTIES:
        raise ConfigError(f"loss.penalty = {loss.penalty!r} is unknown: choose one of {', '.join(PENALTIES)}")
    penalty = PENALTIES[loss.penalty]
    if penalty is None:
        return None
    weight = loss.penalty_weight * penalty.share
    return lambda discriminator, real, fake: weight * penalty(discriminator, real, fake)


def networks(config: RunConfig, device: torch.device) -> dict[str, nn.Module]:
    """The generator, the discriminator and the generator's average, freshly initialised from train.seed."""
    torch.manual_seed(config.train.seed)
    generator = models.generator(config.model)
    judge = discriminator(config, device)
    normalised = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in judge.modules())
    if config.loss.penalty != "none" and normalised:
        raise ConfigError(
            f"loss.penalty = {config.loss.penalty!r} needs a discriminator without batch norm, in which each image "
            "is judged alone: add --set model.norm=none, or --set loss.penalty=none"
        )
    if config.loss.spectral_norm and config.discriminator.name == "own":  # a projected one has it always
        spectral_norm(judge)
    average = copy.deepcopy(generator).eval().requires_grad_(False)
    if config.train.checkpoint_activations:
        recompute_blocks(generator)
        recompute_blocks(judge)
    built: dict[str, Any] = {
        "generator": generator.train(),
        "discriminator": judge.train(),
        "average": average,
    }
    # Convolutions and our fused ops run fastest on channels_last, which is also how images come from the feed.
    return {key: net.to(device, memory_format=torch.channels_last) for key, net in built.items()}


def check_checkpoint(config: RunConfig, tensors: Mapping[str, Tensor], where: str) -> None:
    """CheckpointError unless a checkpoint's `tensors` fit the networks of `config`; takes no memory for these."""
    with torch.device("meta"):
        built = {"g.": models.generator(config.model)}
        if config.discriminator.name == "own":  # a projected one needs its feature network
            built["d."] = models.discriminator(config.model)
            if config.loss.spectral_norm:
                spectral_norm(built["d."])
    for prefix, network in (*built.items(), ("g_ema.", built["g."])):
        there = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        weights.compare(weights.kinds(network.state_dict()), weights.kinds(there), where)


def discriminator(config: RunConfig, device: torch.device) -> nn.Module:
    """The model's own, or a projected one, freshly initialised."""
    asked, model = config.discriminator, config.model
    if asked.name == "own":
        return models.discriminator(model)
    network = _features(asked, device)
    size = asked.size or projected.input_size(model.resolution, network.reductions[-1])
    return ProjectedDiscriminator(
        network,
        size=size,
        width=asked.width,
        img_channels=model.img_channels,
        classes=model.classes,
        attributes=model.attributes,
        conditioning=model.conditioning,
    )


def _features(asked: DiscriminatorConfig, device: torch.device) -> Features:
    network = pretrained.open_features(asked.features, device)
    multiple = network.reductions[-1]
    require(
        asked.size is None or asked.size % multiple == 0,
        f"discriminator.size = {asked.size} must be a multiple of {multiple} for {network.name}",
    )
    return network


def check_features(config: RunConfig) -> None:
    """ConfigError unless there are the pretrained features that a projected discriminator is to look through."""
    if config.discriminator.name == "projected":
        _features(config.discriminator, torch.device("cpu"))


def check_parts(config: RunConfig) -> None:
    """ConfigError unless networks have the parts that are to be frozen.

    config: completed by `resolve`, for the number of blocks follows from the images' size.
    """
    if config.train.freeze_d or config.train.tune_g != "all":
        with torch.device("meta"):  # no memory, and no random numbers
            own = models.generator(config.model), models.discriminator(config.model)
            thawing.check(config.train, *own)


def make_trainer(
    config: RunConfig,
    feed: Feed,
    device: torch.device,
    precision: str,
    processes: Processes = ALONE,
    built: dict[str, nn.Module] | None = None,
) -> Trainer:
    """A trainer at cur_nimg 0 for a `config` that `resolve` has completed; built: its `networks`, where they exist."""
    built = networks(config, device) if built is None else built
    model = config.model
    image = torch.zeros(1, model.img_channels, model.resolution, model.resolution, device=device)
    c = conditions.zero(config, device)
    trainer = Trainer(
        **built,
        frozen=thawing.plan(config.train, built["generator"], built["discriminator"], image, *c),
        feed=feed,
        loss=losses.load(config.loss.name),
        penalty=make_penalty(config.loss),
        augmentation=augmentation.make(config.train, device),
        config=config,
        device=device,
        precision=precision,
        processes=processes,
        codes=Codes(feed.dataset, model.z_dim, feed.held).to(device) if config.loss.reconstruction else None,
    )
    if graphs.wanted(config.train, device, processes.size):
        trainer.graphs = graphs.StepGraphs(trainer, partial(graphs.Cuda, device))
    return trainer
