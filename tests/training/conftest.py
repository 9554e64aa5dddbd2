"""A small data set and small runs of every preset."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fastgan.config import build, merge, preset
from fastgan.data.dataset import Dataset, content_hash
from fastgan.data.feed import Feed
from fastgan.data.packed import write
from fastgan.training import assemble
from fastgan.training.settings import RunConfig
from fastgan.training.trainer import Trainer

SMALL = {
    "dcgan": {"model": {"width": 4, "z_dim": 8}, "train": {"batch": 4}},
    "wgan": {"model": {"width": 4, "z_dim": 8}, "train": {"batch": 4, "d_steps": 2}},
    "wgan-gp": {"model": {"width": 4, "z_dim": 8}, "train": {"batch": 4, "d_steps": 2}},
    "r3gan": {"model": {"z_dim": 8, "channel_multiplier": 0.01, "blocks": 1}, "train": {"batch": 4}},
    "sle": {"model": {"width": 1, "z_dim": 8}, "train": {"batch": 4}},
    "stylegan": {
        "model": {"z_dim": 16, "w_dim": 16, "channel_multiplier": 0.03},
        "loss": {"penalty_interval": 3},
        "train": {"batch": 4},
    },
    "small": {  # two iterations that only reconstruct, then one of three
        "model": {"width": 4, "widest": 16, "z_dim": 8},
        "loss": {"reconstruction_interval": 3},
        "train": {"batch": 4, "reconstruction_kimg": 0.008},
    },
}
GROWING = "growing"
"""16 px from 8: three iterations of 8 images at 8 px, four of 4 that fade 16 in, then 16 px. It has its own tests."""
PROJECTED = {"name": "projected", "features": "random", "size": 32, "width": 4}
EXTRAS = {
    "rpgan": ("dcgan", {"model": {"norm": "none"}, "loss": {"name": "rpgan", "penalty": "r1+r2"}}),
    "rpgan, lazy": ("stylegan", {"loss": {"name": "rpgan", "penalty": "r1+r2"}}),
    "spectral": ("dcgan", {"loss": {"name": "hinge", "spectral_norm": True}}),
    "spectral, penalised": ("stylegan", {"loss": {"spectral_norm": True}}),
    "ada": ("dcgan", {"train": {"augment": "ada", "ada_kimg": 0.05, "ada_target": -0.9}}),
    "ada, penalised": (
        "stylegan",
        {"train": {"augment": "ada,cutout", "ada_kimg": 0.05, "ada_target": -0.9}},
    ),
    "diffaug": ("wgan-gp", {"train": {"augment": "color,translation,cutout"}}),
    "projected": (
        "dcgan",
        {"discriminator": PROJECTED, "loss": {"name": "hinge"}, "train": {"augment": "color"}},
    ),
    "projected, penalised": ("stylegan", {"discriminator": PROJECTED, "train": {"augment": "ada"}}),
    "path length": ("stylegan", {"loss": {"path_length": 1.0, "path_length_interval": 2}}),
    "scheduled": (
        "stylegan",
        {
            "loss": {"penalty_weight_end": 1.0},
            "train": {
                "lr_warmup_kimg": 0.008,
                "lr_decay": "linear",
                "lr_floor": 0.0,
                "decay_kimg": 0.03,
                "ema_kimg": [10.0, 0.5, 0.0],
            },
        },
    ),
    "reusing": ("stylegan", {"train": {"reuse_fakes": True}}),
    "frozen": ("stylegan", {"train": {"freeze_d": 1}}),
    GROWING: (
        "stylegan",
        {"train": {"grow_from": 8, "grow_kimg": 0.024, "fade_kimg": 0.016, "grow_batch": 8}},
    ),
}
"""What presets leave out: a preset, and the settings on top of it."""
CASES = [name for name in (*SMALL, *EXTRAS) if name != GROWING]


def small(name: str, **tables: dict) -> RunConfig:
    """A preset, or one of EXTRAS, made small, for 16 px."""
    base, extra = EXTRAS.get(name, (name, {}))
    return build(RunConfig, merge(merge(merge(preset(base), SMALL[base]), extra), tables))


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    images = torch.randint(
        0, 256, (23, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    return Dataset(images=images, content_hash=content_hash(images))


@pytest.fixture
def packed(dataset: Dataset, tmp_path: Path) -> Path:
    """The data set as a file."""
    write(tmp_path / "set.fgd", dataset)
    return tmp_path / "set.fgd"


@pytest.fixture
def make(dataset: Dataset, device: torch.device) -> Callable[..., Trainer]:
    """make(preset, precision="fp32", table={key: value}...) -> a fresh small Trainer."""

    def build_one(name: str, precision: str = "fp32", **tables: dict) -> Trainer:
        config = assemble.resolve(small(name, **tables), dataset)
        shown = {key: getattr(config.data, key) for key in ("mirror", "flip_vertical", "rotate", "scale")}
        feed = Feed(dataset, device=device, seed=config.train.seed, **shown)
        return assemble.make_trainer(config, feed, device, precision)

    return build_one
