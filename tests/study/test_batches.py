"""What the steps of an arm show, and which synthetic images it draws."""

from collections import Counter
from collections.abc import Callable
from itertools import islice

import torch
from torch import Tensor

from fastgan.study import synthetic
from fastgan.study.arms import Arm, Mix
from fastgan.study.batches import Course
from fastgan.study.desk import Desk
from fastgan.study.labelled import Labelled
from fastgan.study.study import Study
from fastgan.study.task import Task

TASK = Task(("a", "b"))


def numbered(count: int, start: int = 0, targets: Tensor | None = None) -> Labelled:
    """Images whose only pixel is their number."""
    images = torch.arange(start, start + count, dtype=torch.uint8).view(-1, 1, 1, 1)
    return Labelled(images, torch.arange(count) % 2 if targets is None else targets)


def shown(course: Course, size: int, batches: int) -> list[list[int]]:
    return [b.images.flatten().tolist() for b in islice(course.batches(TASK, size, seed=3), batches)]


def test_an_epoch_shows_every_image_once_and_another_order_follows() -> None:
    first, second = shown(Course(numbered(6), numbered(3, 100), 3), 9, 2)
    assert sorted(first) == sorted(second) == [0, 1, 2, 3, 4, 5, 100, 101, 102]
    assert first != second


def test_what_is_redrawn_is_another_part_of_the_pool_in_each_epoch() -> None:
    redrawn = shown(Course(numbered(2), numbered(6, 100), 3, redrawn=True), 5, 3)
    assert [sorted(batch)[2:] for batch in redrawn] == [[100, 101, 102], [103, 104, 105], [100, 101, 102]]
    static = shown(Course(numbered(2), numbered(6, 100), 3), 5, 2)
    assert [sorted(batch)[2:] for batch in static] == [[100, 101, 102]] * 2


def test_synthetic_images_alone() -> None:
    assert sorted(shown(Course(None, numbered(4, 100), 4), 4, 1)[0]) == [100, 101, 102, 103]


def test_a_small_class_is_shown_as_often_as_the_largest() -> None:
    targets = torch.tensor([0, 0, 0, 0, 0, 1, 1])
    counts = Counter(shown(Course(numbered(7, targets=targets), balanced=True), 10, 1)[0])
    assert sorted(counts.items()) == [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 3), (6, 2)]


def asked(small: Callable[..., Study], mix: Mix, **settings: object) -> tuple[Desk, list[tuple[int, int]]]:
    """A desk whose GAN writes down how many images from which seed on it was asked for."""
    study = small(**settings)
    calls: list[tuple[int, int]] = []

    def make(targets: Tensor, seed: int) -> Tensor:
        calls.append((len(targets), seed))
        return torch.zeros(len(targets), 16, 16, 1, dtype=torch.uint8)

    study.stand_in = lambda scenario, seed: lambda train: (make, None)
    desk = study.desk(study.scenarios[-1], 0)
    desk.pool(mix)
    return desk, calls


def test_no_image_is_redrawn_twice_and_no_more_are_made_than_are_shown(small: Callable[..., Study]) -> None:
    desk, calls = asked(small, Mix(ratio=1.0, redrawn=True), steps=30)
    epochs = -(-30 * 32 // (2 * len(desk.train)))
    assert calls == [(len(desk.train) * epochs, synthetic.REDRAWN)]
    _, calls = asked(small, Mix(ratio=1.0, redrawn=True, wide=True), steps=30)
    assert calls[0][1] == synthetic.WIDE
    _, calls = asked(small, Mix(ratio=100.0), steps=3)
    assert calls == [(3 * 32, synthetic.STATIC)]


def test_a_rare_class_is_filled_up(small: Callable[..., Study]) -> None:
    desk, calls = asked(small, Mix(fill=True), imbalance="square=3")
    pool, each = desk.pool(Mix(fill=True))
    assert calls == [(5, synthetic.STATIC)]
    assert (pool.targets.tolist(), each) == ([2] * 5, 5)
    assert desk.chosen_by == "balanced_accuracy"


def test_a_ceiling_is_of_all_real_images(small: Callable[..., Study]) -> None:
    study = small()
    desk = study.desk(study.scenarios[0], 0)
    assert len(desk.real(Arm(name="", ceiling=True))) == len(study.pool) > len(desk.real(Arm(name="")))


def test_wide_latents_lie_further_out(small: Callable[..., Study], monkeypatch) -> None:
    """Of a model without truncation the latents themselves, of one with it the styles."""
    given: list[tuple[Tensor, float]] = []

    class Model:
        z_dim, has_truncation = 8, False

        def generate(self, z, condition, psi):
            given.append((torch.from_numpy(z), psi))
            return torch.zeros(len(z), 4, 4, 1, dtype=torch.uint8).numpy()

    monkeypatch.setattr(synthetic, "open_generator", lambda *a, **k: Model())
    study = small()
    make = synthetic.opened(study.task, study.folder)
    targets = torch.zeros(500, dtype=torch.int64)
    make(targets, synthetic.STATIC)
    make(targets, synthetic.WIDE)
    Model.has_truncation = True
    make(targets, synthetic.WIDE)
    spread = [z.std().item() for z, _ in given]
    assert abs(spread[0] - 1) < 0.05
    assert abs(spread[1] - synthetic.WIDENING) < 0.05
    assert abs(spread[2] - 1) < 0.05
    assert [psi for _, psi in given] == [1.0, 1.0, synthetic.WIDENING]
