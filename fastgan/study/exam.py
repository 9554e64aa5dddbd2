"""The test images, behind a door: asked once for each classifier, at the very end, and never for a choice."""

from collections.abc import Callable

from torch import Tensor

from fastgan.study.labelled import Labelled
from fastgan.study.measures import Measures, accuracy, measure
from fastgan.study.task import Task


class Exam:
    """Nothing that trains or chooses is ever handed this; the runner alone holds it."""

    def __init__(self, task: Task, test: Labelled) -> None:
        self._task, self._test = task, test
        self._graded: set[str] = set()

    def __len__(self) -> int:
        return len(self._test)

    @property
    def grain(self) -> float:
        """The steps that accuracy comes in."""
        return 1 / max(len(self._test) * (self._task.outputs if self._task.multi else 1), 1)

    def grade(self, who: str, predict: Callable[[Tensor], Tensor], train: Labelled) -> Measures:
        """Measures of a trained classifier; `train` are the real images that it knows. ValueError the second time."""
        if who in self._graded:
            raise ValueError(f"{who} has been graded already: the test images are asked once")
        self._graded.add(who)
        known = accuracy(self._task, predict(train.images), train.targets)
        return measure(self._task, predict(self._test.images), self._test.targets, train_accuracy=known)
