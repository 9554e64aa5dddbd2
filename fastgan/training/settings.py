"""The settings of a training run: what its config.toml holds."""

import math
from dataclasses import dataclass, field
from typing import Literal

from fastgan import models
from fastgan.config import Duration, require
from fastgan.models import ModelConfig
from fastgan.naming import named
from fastgan.training import stopping
from fastgan.training.data_settings import DataConfig
from fastgan.training.loss_settings import DiscriminatorConfig, LossConfig
from fastgan.training.portion import Portion

LARGEST_GRID = 16_384
"""Samples: 128 rows of 128"""


Kimg = Portion | float
"""Thousands of images, or a portion of the planned ones."""
_MOST_KIMG = 1e12  # a count of images stays within 64 bits, and finite


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long, how fast and with what record.

    Lengths in kimg may be portions of the planned images, as in "2.5%", until `fastgan.training.planned` settles them.
    """

    batch: int = 64
    """Images a step, over all processes."""
    accumulate: int = 1
    """Parts that a process's share of the batch goes through one after the other, for models that do not fit."""
    checkpoint_activations: bool = False
    """Keep no activations within the blocks of both networks and compute them again: slower, in less memory."""
    d_steps: int = 1
    """Discriminator steps to one generator step, each with a fresh batch."""
    reuse_fakes: bool = False
    """The generator learns from the fakes of the last discriminator step, which saves making others: not with
    accumulate, nor in CUDA graphs."""
    lr_g: float = 2e-4
    """Adam's learning rate for the generator."""
    lr_d: float = 2e-4
    """Adam's learning rate for the discriminator."""
    lr_warmup_kimg: Kimg = 0.0
    """Thousands of images in which both learning rates rise from 0."""
    lr_decay: Literal["none", "linear", "cosine"] = "none"
    """How both learning rates fall to lr_floor over decay_kimg, and stay."""
    lr_floor: float = 0.0
    """With lr_decay: the share of the learning rates that is left in the end."""
    decay_kimg: Kimg | None = None
    """With lr_decay or loss.penalty_weight_end: thousands of images from the start of training to their end."""
    beta1: float = 0.5
    """Adam's first moment decay; 0 makes it RMSprop, with the bias of its first steps corrected."""
    beta2: float = 0.999
    """Adam's second moment decay."""
    eps: float = 1e-8
    """Adam's epsilon."""
    init_from: str = ""
    """Run, checkpoint or release whose networks a new run starts from, where name and shape of a tensor match."""
    freeze_d: int = 0
    """How many of the discriminator's blocks, from the image on, stay as they are (FreezeD)."""
    tune_g: str = "all"
    """What of the generator is trained: all, or some of its mapping, styles and norms, as in "mapping,styles"."""
    thaw_kimg: Kimg | None = None
    """Thousands of images after which all of the generator is trained, and one more of the freeze_d blocks each time,
    the last first; none keeps frozen what is frozen."""
    augment: str = "none"
    """What the discriminator sees of all images: none, transforms such as "color,translation,cutout", or "ada"."""
    ada_target: float = 0.6
    """With ada: the r_t (how often real images are told from fakes, -1 to 1) that the probability is steered by."""
    ada_kimg: Kimg = 500.0
    """With ada: thousands of images in which the probability goes from 0 to 1 at its fastest."""
    grow_from: int | None = None
    """Resolution to start at, doubled again and again while training (stylegan); or none: whole from the start."""
    grow_kimg: Kimg = 600.0
    """With grow_from: thousands of images for which each resolution below the last is trained, once it is there."""
    fade_kimg: Kimg = 600.0
    """With grow_from: thousands of images in which each new resolution is faded in; 0 puts it there at once."""
    grow_batch: int = 256
    """With grow_from: the batch doubles with each halving of the resolution, up to this many images."""
    reconstruction_kimg: Kimg = 0.0
    """With loss.reconstruction: thousands of images from the start that are only reconstructed, not yet judged."""
    ema_kimg: Kimg | tuple[Kimg, ...] = 10.0
    """Half-life of the averaged generator, in thousands of images; 0 keeps no average. Of several, as in [10, 1, 100],
    the first is what is shown and shared, and checkpoints hold the others beside it."""
    ema_rampup: float | None = 0.05
    """The half-life is at most this share of the images shown so far; none switches the ramp-up off."""
    seed: int = 0
    """Everything random follows from it."""
    budget: Duration = field(default=Duration(seconds=3600.0))
    """When to end: training time or images, over all resumptions."""
    planned_kimg: float | None = None
    """Thousands of images that the run is planned for, of which "2.5%" is a portion; none: what the budget comes to."""
    usual_kimg: float | None = None
    """Thousands of images after which pictures usually can be told, for what is said of the budget; or none."""
    checkpoint_every: Duration = field(default=Duration(seconds=300.0))
    """How often to save."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay on disk."""
    grid_every: Duration = field(default=Duration(seconds=60.0))
    """How often to draw samples from fixed z."""
    grid_images: int = 64
    """Samples in a grid."""
    log_every: Duration = field(default=Duration(seconds=5.0))
    """How often to write a line of the log; the only time that the losses are read back."""
    eval_every: Duration | None = None
    """How often to compute metrics; none computes none."""
    eval_metrics: str = "kid"
    """Which, with commas between them."""
    eval_images: int = 2000
    """On how many generated images."""
    best_metric: str = "auto"
    """What RUN/best goes by: a metric's name; auto is the first that is computed."""
    stop_when: str = ""
    """Stop before the budget is used up, when a line of the log meets one of these: "fid<20, r_t>0.95"."""
    max_rollbacks: int = 2
    """How often to go back a checkpoint, with half the learning rates, when no step is finite any more."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 is autocast over fp32 parameters; auto takes it where the device is fast at it (see docs/training.md)."""
    cuda_graphs: Literal["auto", "on", "off"] = "auto"
    """Replay steps as CUDA graphs; auto does with our kernels on CUDA. Means nothing on other devices."""

    def __post_init__(self) -> None:
        self._check_counts()
        self._check_growing()
        self._check_adam_and_frozen()
        self._check_averages_and_decay()
        require(self.max_rollbacks >= 0, f"train.max_rollbacks = {self.max_rollbacks} must not be negative")
        stopping.parse(self.stop_when, evaluates=self.eval_every is not None)
        require(0 <= self.seed < 2**63, f"train.seed = {self.seed} must lie in [0, 2**63)")

    def _check_counts(self) -> None:
        for key in (name for name in vars(self) if name.endswith("_kimg")):
            value = getattr(self, key)
            for kimg in value if isinstance(value, tuple) else (value,):
                require(
                    kimg is None or not _MOST_KIMG <= kimg < math.inf,
                    f"train.{key} = {value} is more images than can be counted: give less than {_MOST_KIMG:g}",
                )
        for key in ("batch", "accumulate", "d_steps", "keep_checkpoints", "grid_images", "eval_images"):
            require(getattr(self, key) >= 1, f"train.{key} = {getattr(self, key)} must be 1 or more")
        require(
            self.grid_images <= LARGEST_GRID,
            f"train.grid_images = {self.grid_images} is more than one picture shows: set at most {LARGEST_GRID}",
        )
        for key in ("lr_g", "lr_d", "eps"):
            require(
                0 < getattr(self, key) < math.inf,
                f"train.{key} = {getattr(self, key)} must be above 0 and finite",
            )

    def _check_growing(self) -> None:
        start = self.grow_from
        require(
            start is None or (start >= 8 and start & (start - 1) == 0),
            f'train.grow_from = {start} must be a power of two from 8 up, or "none"',
        )
        require(
            0 < self.grow_kimg < math.inf,
            f"train.grow_kimg = {self.grow_kimg} must be above 0 and finite",
        )
        for key in ("fade_kimg", "reconstruction_kimg"):
            require(
                0 <= getattr(self, key) < math.inf, f"train.{key} = {getattr(self, key)} must not be negative"
            )
        require(self.grow_batch >= 1, f"train.grow_batch = {self.grow_batch} must be 1 or more")
        require(
            start is None or self.freeze_d == 0,
            "train.freeze_d and train.grow_from exclude each other: the blocks that see the image first come last",
        )

    def _check_adam_and_frozen(self) -> None:
        for key in ("beta1", "beta2"):
            require(0 <= getattr(self, key) < 1, f"train.{key} = {getattr(self, key)} must lie in [0, 1)")
        require(self.freeze_d >= 0, f"train.freeze_d = {self.freeze_d} must not be negative")
        thaw = self.thaw_kimg
        require(
            thaw is None or 0 < thaw < math.inf,
            f'train.thaw_kimg = {thaw} must be above 0 and finite, or "none"',
        )
        require(
            thaw is None or self.freeze_d > 0 or self.tune_g != "all",
            "train.thaw_kimg needs something that is frozen: set train.freeze_d or train.tune_g too",
        )
        require(-1 < self.ada_target < 1, f"train.ada_target = {self.ada_target} must lie between -1 and 1")
        require(0 < self.ada_kimg < math.inf, f"train.ada_kimg = {self.ada_kimg} must be above 0 and finite")

    def _check_averages_and_decay(self) -> None:
        lives = self.half_lives
        require(
            len(lives) > 0 and all(0 <= k < math.inf for k in lives),
            f"train.ema_kimg = {self.ema_kimg} must name one half-life or more, and none may be negative",
        )
        require(
            len({str(k) if isinstance(k, Portion) else round(1000 * k) for k in lives}) == len(lives),
            f"train.ema_kimg = {list(lives)} names a half-life twice, to the image",
        )
        require(
            0 <= self.lr_warmup_kimg < math.inf,
            f"train.lr_warmup_kimg = {self.lr_warmup_kimg} must not be negative",
        )
        require(0 <= self.lr_floor <= 1, f"train.lr_floor = {self.lr_floor} must lie in [0, 1]")
        decay = self.decay_kimg
        require(
            decay is None or 0 < decay < math.inf, f'train.decay_kimg = {decay} must be above 0, or "none"'
        )
        require(
            self.lr_decay == "none" or decay is not None,
            f"train.lr_decay = {self.lr_decay!r} needs its length: set train.decay_kimg, thousands of images",
        )
        for key in ("planned_kimg", "usual_kimg"):
            kimg = getattr(self, key)
            require(
                kimg is None or 0 < kimg < math.inf,
                f'train.{key} = {kimg} must be above 0 and finite, or "none"',
            )
        rampup = self.ema_rampup
        require(rampup is None or rampup > 0, f'train.ema_rampup = {rampup} must be above 0, or "none"')

    @property
    def half_lives(self) -> tuple[float, ...]:
        """`ema_kimg` as a tuple."""
        return self.ema_kimg if isinstance(self.ema_kimg, tuple) else (self.ema_kimg,)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All settings of a training run: config.toml in its folder."""

    model: ModelConfig = field(
        default_factory=lambda: models.configure({"name": "dcgan"}),
        metadata={"build": models.configure, "table": models.table},
    )
    """`name`, a file of fastgan/models/, and that model's own settings: its Config."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """See DiscriminatorConfig."""
    loss: LossConfig = field(default_factory=LossConfig)
    """See LossConfig."""
    data: DataConfig = field(default_factory=DataConfig)
    """See DataConfig."""
    train: TrainConfig = TrainConfig()
    """See TrainConfig."""

    def __post_init__(self) -> None:
        require(
            self.loss.reconstruction > 0 or self.train.reconstruction_kimg == 0,
            f"train.reconstruction_kimg = {self.train.reconstruction_kimg} needs a weight: set "
            "loss.reconstruction too, or train.reconstruction_kimg to 0",
        )
        require(
            self.loss.penalty_weight_end is None or self.train.decay_kimg is not None,
            "loss.penalty_weight_end needs the length of the way: set train.decay_kimg, thousands of images",
        )
        if self.discriminator.name == "projected":
            require(
                self.train.freeze_d == 0,
                "train.freeze_d means nothing with a projected discriminator, whose features are frozen: leave it out",
            )
            require(
                not self.train.checkpoint_activations,
                "train.checkpoint_activations cannot go with a projected discriminator, whose weights move with every "
                f"pass (spectral normalisation): leave it out ({named('accumulate')} saves memory too)",
            )
