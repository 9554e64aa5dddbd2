"""What a study is asked to do."""

from dataclasses import dataclass, field

from fastgan.config import Duration, require
from fastgan.naming import named


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides over the results of a study, beside the images."""

    per_class: tuple[int, ...] = ()
    """A scenario for each number of training images a class; none: all that there are"""
    imbalance: str | None = None
    """A scenario more: CLASS=N thins a class to N training images"""
    seeds: int = 5
    """Paired repetitions"""
    ratios: tuple[float, ...] = (1.0, 2.0, 5.0)
    """Synthetic images for one real image; the middle one is that of filtered, redrawn and combined arms"""
    only: tuple[str, ...] = ()
    """Arms by the beginnings of their names; none: all"""
    transfer: bool = True
    """Whether arms with a pretrained network are run"""
    val: float = 0.15
    """Share of the images that is chosen by"""
    test: float = 0.25
    """Share of the images that is asked at the end"""
    split_seed: int = 0
    """Of the split, the same for all seeds"""
    steps: int = 300
    """Training steps of the CNN, for every arm"""
    tuned_steps: int = 80
    """Training steps of the pretrained network, for every arm"""
    gan_preset: str = "few-shot"
    """A preset of fastgan train"""
    gan_budget: Duration = field(default=Duration(seconds=120.0))
    """Of each GAN"""
    gan_init_from: str = ""
    """Run, checkpoint or release that each GAN starts from; none: from scratch"""
    gan_sets: tuple[str, ...] = ()
    """Further settings of GANs, as in train.batch=16"""
    measure: str = "accuracy"
    """What the verdict is about: accuracy or macro_f1"""

    def __post_init__(self) -> None:
        require(
            2 <= self.seeds <= 1000,
            f"{named('seeds')} {self.seeds} is out of range: an interval needs 2 at least, 5 are better, and 1000 are "
            "the most",
        )
        require(
            bool(self.ratios) and all(0 < r <= 100 for r in self.ratios),
            f"{named('ratios')} {','.join(f'{r:g}' for r in self.ratios)} must be numbers above 0, at most 100, as in "
            "1,2,5",
        )
        require(
            0 < self.val < 1 and 0 < self.test < 1 and self.val + self.test < 0.9,
            f"the shares of validation ({self.val:g}) and test images ({self.test:g}) must leave some to train on",
        )
        require(
            not any(text.replace(" ", "").startswith("train.init_from=") for text in self.gan_sets),
            f"{named('gan_settings')} train.init_from is {named('gan_init_from')} here, which sees to it that no "
            "test image was trained on",
        )
        for option in ("steps", "tuned_steps"):
            steps = getattr(self, option)
            require(
                1 <= steps <= 10**7,
                f"{named(option)} {steps} is out of range: give a number from 1 to 10,000,000",
            )
