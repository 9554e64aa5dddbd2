"""Taps, heads and fine-tuning, on a small network that nobody trained; and the real one where its package is."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from fastgan.errors import MetricError
from fastgan.study import transfer
from fastgan.study.arms import HEAD, TUNED
from fastgan.study.cnn import Hyper, Training
from fastgan.study.desk import TRIALS, Desk
from fastgan.study.labelled import Labelled
from fastgan.study.measures import accuracy
from fastgan.study.task import Task
from tests.study.images import CLASSES, bars

TASK = Task(CLASSES)


def backbone() -> transfer.Backbone:
    def make() -> nn.ModuleList:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            stages = [
                nn.Sequential(nn.Conv2d(i, o, 3, 2, 1), nn.ReLU()) for i, o in ((3, 16), (16, 32), (32, 8))
            ]
        return nn.ModuleList(stages).requires_grad_(False)

    return transfer.Backbone("small", make, (0, 1, 2), 16, (127, 128))


def table(train: Labelled, val: Labelled) -> Desk:
    cpu = torch.device("cpu")
    training = {
        "cnn": Training(steps=5, batch=8, device=cpu),
        "head": Training(steps=1, batch=8, device=cpu),
        "tuned": Training(steps=15, batch=16, device=cpu),
    }
    return Desk(
        task=TASK, train=train, val=val, everything=train, seed=0, training=training, backbone=backbone(),
        open_gan=lambda images: pytest.fail("no arm of this test needs a GAN"),
    )  # fmt: skip


def test_a_head_is_logistic_regression() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(120, 5, generator=random)
    targets = (x[:, 0] + 0.5 * torch.randn(120, generator=random) > 0).long() + (x[:, 1] > 1).long()
    head = transfer.fit_head(TASK, x, targets, 1e-2)
    standard = ((x - x.mean(0)) / x.std(0)).numpy()
    theirs = LogisticRegression(C=1 / (1e-2 * 120), tol=1e-8, max_iter=1000).fit(standard, targets)
    ours = TASK.probabilities(head(x)).numpy()
    assert abs(ours - theirs.predict_proba(standard)).max() < 0.01


def test_frozen_and_tuned_learn_and_the_tap_is_cross_validated() -> None:
    desk = table(bars(30), bars(30, seed=1))
    desk.choices = desk.choose()
    assert desk.choices.tap == max(desk.choices.taps, key=desk.choices.taps.__getitem__)
    assert {*desk.choices.taps} == {0, 1, 2}
    frozen = desk.fit(HEAD, TRIALS["head"][0])
    tuned = desk.fit(TUNED, Hyper(lr=3e-3, decay=1e-2))
    images, targets = desk.val.images, desk.val.targets
    assert accuracy(TASK, frozen(images), targets) > 0.5
    assert not torch.equal(frozen(images), tuned(images))
    assert desk.backbone is not None
    assert torch.equal(desk.backbone.frozen[0][0].weight, backbone().make()[0][0].weight)


def test_the_published_network_has_taps_and_can_be_trained() -> None:
    try:
        found = transfer.open_backbone(32)
    except MetricError as error:
        pytest.skip(str(error))
    features = found.features(bars(2).images, torch.device("cpu"))
    assert [x.shape[1] for x in features.values()] == [40, 112, 320, 1280]
    assert found.size == 64
    network = transfer.Tuned(found.make(), found.taps[0], transfer.Head(torch.zeros(40, 3), torch.zeros(3)))
    assert len(network.stages) == found.taps[0] + 1
