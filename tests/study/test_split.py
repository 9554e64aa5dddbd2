"""Who is on which side."""

import pytest
import torch

from fastgan.errors import ConfigError, DataError
from fastgan.study import families, split
from fastgan.study.labelled import Labelled
from fastgan.study.scenarios import Scenario, plan
from fastgan.study.task import Task
from tests.study.images import CLASSES, bars

TASK = Task(CLASSES)


def make(data: Labelled, **options):
    return split.make(TASK, data, **({"shares": (0.2, 0.3), "seed": 0} | options))


def test_parts_are_stratified_and_hold_every_image_once() -> None:
    data = bars(40)
    found = make(data)
    together = torch.cat(list(found.parts().values()))
    assert together.sort().values.tolist() == list(range(120))
    for rows, share in zip(found.parts().values(), (0.5, 0.2, 0.3), strict=True):
        assert TASK.counts(data.targets[rows]) == pytest.approx([40 * share] * 3, abs=1)
    again = make(data)
    assert torch.equal(found.test, again.test)
    assert not torch.equal(found.test, make(data, seed=1).test)


def test_copies_are_dropped_and_near_copies_stay_together() -> None:
    data = bars(30)
    brighter = (data.images[:20].float() * 1.1).clamp(max=255).to(torch.uint8)
    mirrored = data.images[20:30].flip(2)
    more = Labelled(
        torch.cat([data.images, data.images[:5], brighter, mirrored]),
        torch.cat([data.targets, data.targets[:5], data.targets[:20], data.targets[20:30]]),
    )
    found = make(more)
    side = torch.full((len(more),), -1)
    for k, rows in enumerate(found.parts().values()):
        side[rows] = k
    assert side[90:95].tolist() == [-1] * 5
    assert torch.equal(side[95:115], side[:20])
    assert torch.equal(side[115:125], side[20:30])
    assert "5 exact copies" in found.notes[0]


def test_an_image_under_two_labels_is_in_neither() -> None:
    data = bars(30)
    torn = Labelled(torch.cat([data.images, data.images[:1]]), torch.cat([data.targets, torch.tensor([2])]))
    found = make(torn)
    assert not {0, 90} & {*torch.cat(list(found.parts().values())).tolist()}


def test_families_by_name_stay_together() -> None:
    data = bars(40)
    groups = [str(k // 6) for k in range(120)]
    found = make(data, groups=groups)
    sides = [{groups[row] for row in rows.tolist()} for rows in found.parts().values()]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


def test_names_give_families_by_a_pattern() -> None:
    names = ("cat/anna_1.png", "cat/anna_2.png", "cat/bob.png")
    assert families.named(names, r"/([a-z]+)_\d") == ["anna", "anna", "cat/bob.png"]
    for pattern, words in (("(", "no regular expression"), ("anna", "no group"), ("(zz)", "finds no family")):
        with pytest.raises(ConfigError, match=words):
            families.named(names, pattern)


def test_too_few_images_of_a_class_are_refused() -> None:
    data = bars(20)
    few = data.take(torch.cat([(data.targets != 1).nonzero()[:, 0], (data.targets == 1).nonzero()[:4, 0]]))
    with pytest.raises(
        DataError, match=r"'standing' of the data has 4 images .* needs 6: add images, or leave"
    ):
        make(few)


def test_given_test_images_must_not_be_trained_on() -> None:
    data, test = bars(20), bars(10, seed=1)
    how = {"share": 0.2, "seed": 0, "where": ("here", "there")}
    names = (tuple(f"a{k}" for k in range(60)), tuple(f"b{k}" for k in range(30)))
    found, both = split.apart(TASK, data, test, names=names, **how)
    assert found.test.tolist() == list(range(60, 90))
    assert torch.equal(both.images[60:], test.images)
    leaked = Labelled(
        torch.cat([test.images, data.images[7:8]]), torch.cat([test.targets, data.targets[7:8]])
    )
    with pytest.raises(DataError, match=r"1 of 31 test images of there are also in here.*\(b30 is a7\)"):
        split.apart(TASK, data, leaked, names=(names[0], (*names[1], "b30")), **how)


def test_scenarios_draw_by_seed_and_thin_a_class() -> None:
    pool = bars(40).targets
    twenty, thinned = plan(TASK, pool, (20,), "square=3")
    rows = twenty.rows(TASK, pool, 0)
    assert TASK.counts(pool[rows]) == [20] * 3
    assert not torch.equal(rows, twenty.rows(TASK, pool, 1))
    assert TASK.counts(pool[thinned.rows(TASK, pool, 0)]) == [20, 20, 3]
    # the same draw but for what was thinned, so that scenarios can be compared
    assert {*thinned.rows(TASK, pool, 0).tolist()} < {*rows.tolist()}
    assert TASK.counts(pool[twenty.val_rows(TASK, pool, 0)]) == [20] * 3
    assert len(Scenario().rows(TASK, pool, 0)) == 120


def test_scenarios_of_attributes_have_enough_with_and_without_each() -> None:
    task = Task(("a", "b"), multi=True)
    random = torch.Generator().manual_seed(0)
    pool = (torch.rand(500, 2, generator=random) < torch.tensor([0.1, 0.5])).float()
    drawn = pool[Scenario(per_class=10).rows(task, pool, 0)]
    assert (drawn.sum(0) >= 10).all()
    assert ((1 - drawn).sum(0) >= 10).all()
    assert len(drawn) < 60


@pytest.mark.parametrize(
    ("per_class", "imbalance", "words"),
    [
        ((1,), None, "--per-class 1 is too few"),
        ((41,), None, "needs as many training images of 'lying', and it has 40"),
        ((20,), "cube=3", "there is no class 'cube'"),
        ((20,), "square=x", "must read CLASS=N"),
        ((20,), "square=20", "thins nothing"),
    ],
)
def test_impossible_scenarios_are_refused(per_class: tuple, imbalance: str | None, words: str) -> None:
    with pytest.raises((ConfigError, DataError), match=words):
        plan(TASK, bars(40).targets, per_class, imbalance)
