"""Each rule of the filter, by candidates of which it is known what is wrong with them."""

import pytest
import torch
from torch import Tensor

from fastgan.study import filtering
from fastgan.study.filtering import Judges, choose, judge
from fastgan.study.labelled import Labelled
from fastgan.study.task import Task
from tests.study.images import bars

TASK = Task(("lying", "standing", "square"))
REAL = bars(20)
OTHERS = bars(8, seed=5)


def right(images: Tensor) -> Tensor:
    """A classifier that is always right of OTHERS."""
    rows = [int((OTHERS.images == image).flatten(1).all(1).nonzero()[0, 0]) for image in images]
    return torch.nn.functional.one_hot(OTHERS.targets[rows], 3).float()


def alike(images: Tensor) -> Tensor:
    """Features of which all are the same, so that none is strange."""
    return torch.ones(len(images), 2)


def judged(candidates: Labelled, **judges: object) -> filtering.Filtered:
    return judge(
        TASK, REAL, candidates, Judges(**({"predict": right, "critic": None, "features": alike} | judges))
    )


def test_what_is_of_another_class_is_thrown_away() -> None:
    told = OTHERS.targets.clone()
    told[[0, 5]] = (told[[0, 5]] + 1) % 3
    found = judged(Labelled(OTHERS.images, told))
    assert found.kept.logical_not().nonzero()[:, 0].tolist() == [0, 5]
    assert found.reasons["another class"] == 2


def test_of_attributes_every_known_one_must_agree() -> None:
    task = Task(("a", "b"), multi=True)
    targets = torch.tensor([[1.0, 0.0], [1.0, float("nan")], [0.0, 0.0], [1.0, 1.0]])
    candidates = Labelled(OTHERS.images[:4], targets)
    judges = Judges(predict=lambda x: torch.tensor([[0.9, 0.2]] * len(x)), critic=None, features=alike)
    real = Labelled(REAL.images, torch.ones(len(REAL), 2))
    assert judge(task, real, candidates, judges).kept.tolist() == [True, True, False, False]


def test_the_quarter_that_the_critic_finds_least_real_is_thrown_away() -> None:
    score = torch.arange(len(OTHERS)).flip(0).float()
    found = judged(OTHERS, critic=lambda candidates: score)
    assert found.reasons["least real"] == len(OTHERS) // 4
    assert not found.kept[-len(OTHERS) // 4 :].any()
    assert found.kept[: -len(OTHERS) // 4].all()


def test_what_is_unlike_its_class_is_thrown_away() -> None:
    """Features: a direction a class, with a little of its own; the first candidate points elsewhere."""
    random = torch.Generator().manual_seed(0)

    def features(images: Tensor) -> Tensor:
        targets = OTHERS.targets if len(images) == len(OTHERS) else REAL.targets
        found = torch.nn.functional.one_hot(targets, 4).float()
        found += 0.1 * torch.randn(found.shape, generator=random)
        if len(images) == len(OTHERS):
            found = 0.5 * found + 0.5 * torch.nn.functional.one_hot(targets, 4)  # closer than real ones
            found[0] = torch.tensor([0.0, 0.0, 0.0, 1.0])
        return found

    found = judged(OTHERS, features=features)
    assert not found.kept[0]
    assert found.reasons["unlike the training images"] == 1


def test_copies_are_thrown_away_but_for_the_first_of_each() -> None:
    images = OTHERS.images.clone()
    images[1] = REAL.images[7].flip(1)  # mirrored: W is axis 1 of an image
    images[9] = images[4]
    candidates = Labelled(images, OTHERS.targets)
    found = judged(candidates, predict=lambda x: torch.nn.functional.one_hot(OTHERS.targets, 3).float())
    assert found.kept.logical_not().nonzero()[:, 0].tolist() == [1, 9]
    assert (found.reasons["copies of training images"], found.reasons["copies of each other"]) == (1, 1)


def test_where_near_copies_may_stay_exact_ones_may_not() -> None:
    images = OTHERS.images.clone()
    images[9] = images[4]
    images[6] = images[5].clamp(min=1)  # nearly
    candidates = Labelled(images, OTHERS.targets)
    agreeing = torch.nn.functional.one_hot(OTHERS.targets, 3).float()
    judges = Judges(predict=lambda x: agreeing, critic=None, features=alike)
    assert judge(TASK, REAL, candidates, judges, near=1.0).kept.logical_not().nonzero()[:, 0].tolist() == [9]
    assert judge(TASK, REAL, candidates, judges).kept.logical_not().nonzero()[:, 0].tolist() == [6, 9]


def test_what_was_kept_fills_what_was_wanted_class_by_class() -> None:
    kept = torch.ones(len(OTHERS), dtype=torch.bool)
    kept[OTHERS.targets == 2] = False
    wanted = torch.tensor([0, 0, 1, 2, 2])
    found = choose(TASK, filtering.Filtered(kept=kept, reasons={}), OTHERS, wanted)
    assert found.targets.tolist() == [0, 1, 0]
    assert torch.equal(found.images, OTHERS.images[[0, 1, 3]])


@pytest.mark.parametrize("multi", [False, True])
def test_nothing_may_be_kept(multi: bool) -> None:
    task = Task(("a", "b", "c"), multi=multi)
    targets = torch.ones(len(OTHERS), 3) if multi else OTHERS.targets
    candidates = Labelled(OTHERS.images, targets)
    wrong = torch.full((len(OTHERS), 3), 0.1)
    wrong[torch.arange(len(OTHERS)), (OTHERS.targets + 1) % 3] = 0.4
    real = Labelled(REAL.images, torch.ones(len(REAL), 3) if multi else REAL.targets)
    judges = Judges(predict=lambda x: wrong, critic=lambda c: torch.zeros(len(c)), features=alike)
    found = judge(task, real, candidates, judges)
    assert not found.kept.any()
    assert len(choose(task, found, candidates, targets)) == 0
