"""Who is on which side."""

from itertools import pairwise

import pytest
import torch

from fastgan.errors import ConfigError, DataError
from fastgan.study import split
from fastgan.study.labelled import Labelled
from fastgan.study.scenarios import Scenario, plan
from fastgan.study.task import Task
from tests.study.images import CLASSES, bars

TASK = Task(CLASSES)


def make(data: Labelled, **options):
    return split.make(TASK, data, **({"shares": (0.2, 0.3), "seed": 0} | options))


def noise(count: int) -> torch.Tensor:
    """Images of which no two are alike."""
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 8, 8, 1), dtype=torch.uint8, generator=random)


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


def test_a_given_test_set_is_told_of_as_the_data_are() -> None:
    """One colour has no thumbnail to compare, and copies within the test set are dropped."""
    data, test = bars(20), bars(10, seed=1)
    how = {"share": 0.2, "seed": 0, "where": ("here", "there"), "names": ((), ())}
    plain = Labelled(torch.full((1, 16, 16, 1), 9, dtype=torch.uint8), torch.tensor([0]))
    for near in (0.995, 1.0):
        with pytest.raises(
            DataError, match=r"1 of 31 .* of there are also in here.*\(image 30 is image 60\)"
        ):
            split.apart(TASK, data + plain, test + plain, near=near, **how)
    torn = Labelled(test.images[:1], torch.tensor([2]))
    found, _ = split.apart(TASK, data, test + test.take(torch.tensor([5, 6])) + torn, **how)
    assert found.test.tolist() == list(range(61, 90))
    assert found.notes == (
        "3 exact copies of other images of the test set there were dropped",
        "1 image of the test set there occurs under two labels and was dropped",
    )


def test_a_family_is_not_in_the_data_and_in_a_given_test_set() -> None:
    data, test = bars(20), bars(10, seed=1)
    how = {"share": 0.2, "seed": 0, "where": ("here", "there")}
    names = (tuple(f"a{k}" for k in range(60)), tuple(f"b{k}" for k in range(30)))
    ours, theirs = [f"f{k // 2}" for k in range(60)], [None, None, *(f"g{k}" for k in range(28))]
    split.apart(TASK, data, test, names=names, groups=(ours, theirs), **how)
    split.apart(TASK, data, test, names=names, groups=(ours, [None] * 30), **how)
    theirs[7:9] = ["f5", "f6"]
    with pytest.raises(
        DataError,
        match=r"2 of 30 test images of there are of families that are also in here \(by --group-by, b7 and a10 are "
        r"both of 'f5'\): move each family",
    ):
        split.apart(TASK, data, test, names=names, groups=(ours, theirs), **how)


def test_a_rare_class_in_the_families_of_others_is_on_every_side() -> None:
    targets = torch.tensor([0, 0, 0, 2] * 8 + [0] * 60 + [1] * 60)
    groups = [f"mixed{k // 4}" if k < 32 else None for k in range(len(targets))]
    data = Labelled(noise(len(targets)), targets)
    for seed in range(20):
        found = make(data, groups=groups, seed=seed)
        for rows in found.parts().values():
            assert TASK.counts(targets[rows])[2] >= 2


def test_a_class_without_a_test_image_is_refused() -> None:
    """The images of the last class are all of families with an image of another class that is as rare."""
    targets = torch.tensor([0, 0, 0, 1, 1, 1] + [0, 2] * 3 + [1, 2] * 3)
    groups = [None] * 6 + [f"mixed{k // 2}" for k in range(12)]
    data = Labelled(noise(len(targets)), targets)
    refused = []
    for seed in range(100):
        try:
            found = make(data, groups=groups, seed=seed, shares=(0.1, 0.1))
        except DataError as error:
            refused.append(str(error))
            continue
        assert all(0 not in TASK.counts(targets[rows]) for rows in found.parts().values())
    assert any("no test image has the class 'square' of the data" in text for text in refused)


@pytest.mark.parametrize("tell", [[[None, 1.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, None]]])
def test_a_copy_of_which_less_is_known_is_dropped(tell: list[list[float | None]]) -> None:
    task, data = Task(("a", "b"), multi=True), bars(20)
    known = torch.tensor([[float("nan") if x is None else x for x in row] for row in tell])
    targets = torch.cat(
        [(torch.rand(60, 2, generator=torch.Generator().manual_seed(0)) < 0.5).float(), known]
    )
    both = Labelled(torch.cat([data.images, torch.full((2, 16, 16, 1), 7, dtype=torch.uint8)]), targets)
    found = split.make(task, both, shares=(0.2, 0.3), seed=0)
    better = 60 + max((0, 1), key=lambda k: -int(known[k].isnan().sum()))
    assert {60, 61} & {*torch.cat(list(found.parts().values())).tolist()} == {better}
    assert found.notes == ("1 exact copy of another image was dropped",)
    apart = Labelled(both.images, torch.cat([targets[:60], torch.tensor([[float("nan"), 1.0], [1.0, 0.0]])]))
    found = split.make(task, apart, shares=(0.2, 0.3), seed=0)
    assert not {60, 61} & {*torch.cat(list(found.parts().values())).tolist()}
    assert "1 image occurs under two labels and was dropped" in found.notes


@pytest.mark.parametrize(("contrast", "tried"), [(3.5, (0.995, 0.999)), (1.0, (0.995, 0.999, 1.0))])
def test_images_before_a_fixed_camera_can_be_told_from_copies(
    contrast: float, tried: tuple[float, ...]
) -> None:
    random = torch.Generator().manual_seed(0)
    images = 40 + 180 * torch.rand(16, 16, 1, generator=random)
    images = images + contrast * torch.randn(60, 16, 16, 1, generator=random)
    targets = torch.arange(60) % 2
    images[targets == 1, 3:4, 5:6] = 0
    data = Labelled(images.clamp(0, 255).to(torch.uint8), targets)
    task = Task(("good", "defect"))
    for near, following in pairwise(tried):
        with pytest.raises(
            DataError,
            match=rf"images that are not copies of each other, .*fixed camera\), say --near {following:g}$",
        ):
            split.make(task, data, shares=(0.2, 0.3), seed=0, near=near)
    found = split.make(task, data, shares=(0.2, 0.3), seed=0, near=tried[-1])
    assert sum(len(rows) for rows in found.parts().values()) == 60


def test_few_families_by_name_are_called_so() -> None:
    with pytest.raises(
        DataError, match=r"has 2 families of images \(--group-by\), and a split .* --leave-out lying$"
    ):
        make(bars(20), groups=[str(k // 3 % 2) for k in range(60)])


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
