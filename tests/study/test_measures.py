"""Measures against scikit-learn's, and tasks of attributes."""

import pytest
import torch
from sklearn import metrics

from fastgan.study.measures import calibration_error, measure
from fastgan.study.task import Task

TASK = Task(("a", "b", "c"))
BOTH = Task(("smiling", "hat"), multi=True)
NAN = float("nan")


def test_of_classes_they_are_scikit_learns() -> None:
    random = torch.Generator().manual_seed(0)
    probabilities = torch.rand(200, 3, generator=random).softmax(1)
    targets = torch.randint(0, 3, (200,), generator=random)
    answer = probabilities.argmax(1)
    found = measure(TASK, probabilities, targets, train_accuracy=1.0)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(targets, answer))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(targets, answer, average="macro"))
    assert found.recall == pytest.approx(metrics.recall_score(targets, answer, average=None))
    assert [list(row) for row in found.confusion] == metrics.confusion_matrix(targets, answer).tolist()
    assert found.gap == pytest.approx(1 - found.accuracy)
    assert found.value("recall:1") == found.recall[1]


def test_a_class_that_is_never_named_counts_nothing() -> None:
    found = measure(TASK, torch.tensor([[1.0, 0, 0]] * 3), torch.tensor([0, 1, 2]), train_accuracy=0)
    assert found.recall == (1.0, 0.0, 0.0)
    assert found.macro_f1 == pytest.approx(0.5 / 3)


def test_of_attributes_what_is_unknown_does_not_count() -> None:
    targets = torch.tensor([[1.0, 0.0], [1.0, NAN], [0.0, 1.0], [0.0, NAN]])
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.9], [0.1, 0.8], [0.3, 0.1]])
    found = measure(BOTH, probabilities, targets, train_accuracy=1.0)
    assert found.accuracy == pytest.approx(5 / 6)
    assert found.recall == (0.5, 1.0)
    assert found.confusion == ((2, 1, 0, 1), (1, 0, 0, 1))


def test_calibration_error_is_how_far_confidence_is_off() -> None:
    sure = torch.full((100,), 0.9)
    assert calibration_error(sure, torch.arange(100) < 90) == pytest.approx(0, abs=1e-6)
    assert calibration_error(sure, torch.arange(100) < 50) == pytest.approx(0.4, abs=1e-6)


def test_a_loss_over_what_is_known() -> None:
    logits = torch.zeros(2, 2)
    assert float(BOTH.loss(logits, torch.tensor([[1.0, NAN], [NAN, NAN]]))) == pytest.approx(0.6931, abs=1e-3)
    assert float(BOTH.loss(logits, torch.full((2, 2), NAN))) == 0
