"""Studies that take seconds: bars of 16 px, a GAN of width 4, classifiers of a few steps, no pretrained network."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from fastgan import naming
from fastgan.config import Duration
from fastgan.study import desk, recipes
from fastgan.study.begin import Source, begin
from fastgan.study.settings import Settings
from fastgan.study.study import Study
from tests.study.images import bars_set

TINY_GAN = ("model.width=4", "train.batch=8", "train.precision=fp32", "train.augment=none")


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Study]:
    """A function of settings that begins a study in tmp_path/study, of bars unless `data` is given."""

    def make(data: Path | None = None, source: dict | None = None, **changes: object) -> Study:
        settings = {
            "per_class": (8,),
            "seeds": 2,
            "ratios": (1.0,),
            "steps": 12,
            "transfer": False,
            "gan_budget": Duration(images=64),
            "gan_sets": TINY_GAN,
        } | changes
        path = data or tmp_path / "bars.fgd"
        if not path.exists():
            bars_set(path, 30)
        study = begin(
            Source(data=path, **(source or {})),
            Settings(**settings),
            tmp_path / "study",
            device="cpu",
            note=lambda text: None,
        )
        study.progress = lambda step: None
        return study

    return make


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, and one trial of the two kinds of CNN."""
    torch.set_num_threads(1)
    monkeypatch.setitem(desk.TRIALS, "cnn", desk.TRIALS["cnn"][:1])
    monkeypatch.setattr(recipes, "RECIPES", recipes.RECIPES[:1])


@pytest.fixture(autouse=True)
def _spoken_of_options() -> Iterator[None]:
    """Errors name options, as they do in `fastgan augment`."""
    with naming.command_line():
        yield
