"""How many images a run is planned for, and what portions of them come to.

Everything that changes during training is a function of the images shown (`cur_nimg`), so that a run goes on exactly.
A budget in time is therefore turned into images once, when the run begins, by the speed that was measured then; what
follows from it is written into the settings in kimg, and stays when the run goes on with another budget.
"""

from dataclasses import replace
from typing import Any

from fastgan.config import Duration
from fastgan.training.portion import Portion
from fastgan.training.settings import TrainConfig

_UNPLANNED = 1000.0
"""kimg that portions are of where nothing says how long training takes: in benchmarks of single steps."""
_SURE = 0.9
"""The share of the images measured to be possible that is planned for: a run that turns out slower than it was measured
still comes to the end of its schedules."""


def of_budget(budget: Duration, reach_nimg: float) -> float:
    """kimg to plan for: those of a `budget` in images, or most of the `reach_nimg` that one in time comes to."""
    if budget.images is not None:
        return budget.images / 1000
    return max(_rounded(_SURE * reach_nimg / 1000, digits=2), 0.001)


def kimg(train: TrainConfig) -> float:
    """The kimg that portions are of: the plan's, else the budget's, else those that pictures usually need."""
    if train.planned_kimg is not None:
        return train.planned_kimg
    if train.budget.images is not None:
        return train.budget.images / 1000
    return train.usual_kimg or _UNPLANNED


def portions(train: TrainConfig) -> list[str]:
    """The settings that are portions, as train.key."""
    return [f"train.{key}" for key, value in vars(train).items() if any(map(_is_portion, _each(value)))]


def settle(train: TrainConfig) -> TrainConfig:
    """`train` with thousands of images in the place of portions."""
    planned = kimg(train)

    def settled(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(settled, value))
        return _rounded(float(value) * planned, digits=4) if _is_portion(value) else value

    keys = [key.removeprefix("train.") for key in portions(train)]
    return replace(train, **{key: settled(getattr(train, key)) for key in keys}) if keys else train


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _is_portion(value: Any) -> bool:
    return isinstance(value, Portion)


def _rounded(number: float, digits: int) -> float:
    return float(f"{number:.{digits}g}")
