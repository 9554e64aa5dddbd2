"""What changes during training, each as a function of the images shown so far (`cur_nimg`)."""

import math

from fastgan.config import Duration
from fastgan.training.settings import RunConfig, TrainConfig

_MASK = 2**64 - 1


def iteration_seed(seed: int, cur_nimg: int, rollbacks: int = 0) -> int:
    """The random seed of the iteration that starts at `cur_nimg` after so many rollbacks, in [0, 2**63).

    Mixed by splitmix64 (Steele et al. 2014), because torch's CPU generator looks at the low 32 bits alone and
    neighbouring seeds must not give related streams.
    """
    z = (seed * 0x9E3779B97F4A7C15 + rollbacks * 0xD1B54A32D192ED03 + cur_nimg + 1) & _MASK
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        z = ((z ^ (z >> shift)) * factor) & _MASK
    return z >> 1


def ema_beta(cur_nimg: int, batch_nimg: int, halflife_kimg: float, rampup: float | None) -> float:
    """How much of the average survives `batch_nimg` images: 0.5 ** (batch / halflife).

    The half-life is at most `rampup * cur_nimg`, so that a young average forgets its random start (Karras et
    al. 2020, "Training GANs with limited data", appendix). A half-life of 0 copies the generator.
    """
    halflife_nimg = halflife_kimg * 1000
    if rampup is not None:
        halflife_nimg = min(halflife_nimg, cur_nimg * rampup)
    return 0.5 ** (batch_nimg / halflife_nimg) if halflife_nimg > 0 else 0.0


def lazy_adam(lr: float, betas: tuple[float, float], interval: int) -> tuple[float, tuple[float, float]]:
    """Adam's settings where a penalty adds one optimiser step every `interval` steps.

    With c = interval / (interval + 1): lr * c and betas ** c keep the speed of learning per image that the plain
    optimiser has (Karras et al. 2020, "Analyzing and improving StyleGAN", appendix B).
    """
    if interval == 1:
        return lr, betas
    c = interval / (interval + 1)
    return lr * c, (betas[0] ** c, betas[1] ** c)


def learning_rate(train: TrainConfig, cur_nimg: int) -> float:
    """The share of train.lr_g and train.lr_d that is in force: warm-up times decay, 0 to 1."""
    kimg = cur_nimg / 1000
    warm = min(kimg / train.lr_warmup_kimg, 1.0) if train.lr_warmup_kimg else 1.0
    if train.lr_decay == "none":
        return warm
    left = 1 - _passed(train, cur_nimg) if train.lr_decay == "linear" else _cosine(train, cur_nimg)
    return warm * (train.lr_floor + (1 - train.lr_floor) * left)


def penalty_weight(config: RunConfig, cur_nimg: int) -> float:
    """The share of loss.penalty_weight that is in force (Huang et al. 2024 lower gamma along half a cosine)."""
    start, end = config.loss.penalty_weight, config.loss.penalty_weight_end
    if end is None:
        return 1.0
    return (end + (start - end) * _cosine(config.train, cur_nimg)) / start


def facts(config: RunConfig, cur_nimg: int) -> dict[str, float]:
    """What the log should show of learning rates and the penalty's weight, where they change."""
    train, loss, shown = config.train, config.loss, dict[str, float]()
    if train.lr_warmup_kimg or train.lr_decay != "none":
        share = learning_rate(train, cur_nimg)
        shown |= {"lr_g": train.lr_g * share, "lr_d": train.lr_d * share}
    if loss.penalty_weight_end is not None:
        shown["penalty_weight"] = loss.penalty_weight * penalty_weight(config, cur_nimg)
    return shown


def _passed(train: TrainConfig, cur_nimg: int) -> float:
    """The share of decay_kimg that is over, 0 to 1."""
    assert train.decay_kimg is not None
    return min(cur_nimg / (1000 * train.decay_kimg), 1.0)


def _cosine(train: TrainConfig, cur_nimg: int) -> float:
    """Half a cosine over decay_kimg, from 1 to 0."""
    return (1 + math.cos(math.pi * _passed(train, cur_nimg))) / 2


class Every:
    """Says when a multiple of a length of training has been passed."""

    def __init__(self, length: Duration, nimg: int, seconds: float) -> None:
        self.length = length
        self.passed = self._multiples(nimg, seconds)

    def _multiples(self, nimg: int, seconds: float) -> int:
        return int(progress(self.length, nimg, seconds))

    def due(self, nimg: int, seconds: float) -> bool:
        """True once for each multiple passed since the last call (several at once count as one)."""
        before, self.passed = self.passed, self._multiples(nimg, seconds)
        return self.passed > before


def progress(length: Duration, nimg: int, seconds: float) -> float:
    """How much of `length` is done: 1.0 is all of it."""
    if length.images is not None:
        return nimg / length.images
    assert length.seconds is not None
    return seconds / length.seconds
