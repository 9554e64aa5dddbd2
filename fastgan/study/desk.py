"""Where classifiers are trained: what one scenario and one seed put on the table, the test images not among it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from fastgan.study import cnn, families, filtering, gan, recipes, synthetic, transfer
from fastgan.study.arms import Arm, Mix
from fastgan.study.batches import Course
from fastgan.study.cnn import Hyper, Predict, Training
from fastgan.study.labelled import Labelled
from fastgan.study.measures import measure
from fastgan.study.recipes import Recipe
from fastgan.study.task import Task
from fastgan.study.transfer import Backbone

TRIALS = {"cnn": cnn.TRIALS, "head": transfer.HEAD_TRIALS, "tuned": transfer.TUNED_TRIALS}


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What was chosen on validation images for a scenario, before any arm was trained."""

    recipe: str
    """Of classical augmentation"""
    recipes: dict[str, float]
    """What each got on validation images"""
    tap: int = 0
    """Of the pretrained network; 0: there is none"""
    taps: dict[int, float] = field(default_factory=dict)
    """What each got, cross-validated on the training images"""


@dataclass(kw_only=True, eq=False)
class Desk:
    """Training and validation images of a scenario and a seed, and all that is trained on them."""

    task: Task
    chosen_by: str = "accuracy"
    """What of the validation images recipes, hyperparameters and arms are chosen by: see `Measures.value`"""
    train: Labelled
    val: Labelled
    everything: Labelled
    """All real training images, for the ceiling"""
    seed: int
    training: dict[str, Training]
    """Of each learner"""
    backbone: Backbone | None
    open_gan: Callable[[Labelled], tuple[synthetic.Make, Path | None]]
    """Trains, or finds, the GAN of the training images: what makes images, and its run where there is one"""
    near: float = families.ALIKE
    """The correlation above which images are near copies"""
    choices: Choices | None = None
    filtered: filtering.Filtered | None = None
    """What the filter did, once it was asked"""
    _features: list[tuple[Labelled, dict[int, Tensor]]] = field(default_factory=list)
    _pools: dict[Mix, tuple[Labelled, int]] = field(default_factory=dict)

    def choose(self) -> Choices:
        """The recipe on the validation images, the tap by cross-validation on the training images."""

        def score(recipe: Recipe) -> float:
            batches = self.batches(Arm(name="", classical=True), "cnn")
            predict = cnn.fit(
                self.task, batches, self.shape, cnn.TRIALS[0], self.training["cnn"], self.seed, recipe
            )
            return self.validate(predict)

        best, scores = recipes.choose(score)
        if self.backbone is None:
            return Choices(recipe=best.name, recipes=scores)
        tap, taps = transfer.cross_validate(
            self.task, self.features(self.train), self.train.targets, self.seed, self.chosen_by
        )
        return Choices(recipe=best.name, recipes=scores, tap=tap, taps=taps)

    @property
    def shape(self) -> tuple[int, int]:
        """Side and channels of the images."""
        return self.train.images.shape[1], self.train.images.shape[3]

    def validate(self, predict: Predict) -> float:
        """What is chosen by, on the validation images, less a little where it is unsure: likelihood breaks ties."""
        probabilities = predict(self.val.images)
        found = measure(self.task, probabilities, self.val.targets, train_accuracy=math.nan)
        logits = probabilities.clamp(1e-6, 1 - 1e-6).logit() if self.task.multi else probabilities.log()
        return found.value(self.chosen_by) - 1e-4 * min(float(self.task.loss(logits, self.val.targets)), 10.0)

    def fit(self, arm: Arm, hyper: Hyper) -> Predict:
        """Train the classifier of an arm."""
        assert self.choices is not None
        recipe = recipes.named(self.choices.recipe) if arm.classical else None
        training = self.training[arm.learner]
        if arm.learner == "cnn":
            batches = self.batches(arm, arm.learner)
            return cnn.fit(self.task, batches, self.shape, hyper, training, self.seed, recipe)
        assert self.backbone is not None
        tap, course, real = self.choices.tap, self.course(arm), self.real(arm)
        if arm.learner == "head":
            known = course.everything()
            head = transfer.fit_head(self.task, self.features(known)[tap], known.targets, hyper.decay)
            return transfer.head_predictor(self.task, lambda images: self._tap(images, tap), head)
        start = transfer.fit_head(self.task, self.features(real)[tap], real.targets, transfer.START_DECAY)
        batches = course.batches(self.task, training.batch, self.seed)
        return transfer.fine_tune(
            self.task, self.backbone, tap, start, batches, hyper, training, self.seed, recipe
        )

    def batches(self, arm: Arm, learner: str) -> Iterator[Labelled]:
        """What the steps of an arm show."""
        return self.course(arm).batches(self.task, self.training[learner].batch, self.seed)

    def real(self, arm: Arm) -> Labelled:
        """The real images that an arm is allowed, whether it trains on them or not."""
        return self.everything if arm.ceiling else self.train

    def course(self, arm: Arm) -> Course:
        """The images of an arm."""
        real = self.real(arm)
        if arm.mix is None:
            return Course(real, balanced=arm.balanced)
        pool, each = self.pool(arm.mix)
        return Course(None if arm.mix.alone else real, pool, each, redrawn=arm.mix.redrawn)

    def pool(self, mix: Mix) -> tuple[Labelled, int]:
        """The synthetic images of a mix, and how many of them an epoch shows."""
        if mix not in self._pools:
            self._pools[mix] = self._drawn(mix)
        return self._pools[mix]

    def _drawn(self, mix: Mix) -> tuple[Labelled, int]:
        targets = self.train.targets
        each = max(round(mix.ratio * len(targets)), 1)
        seen = self.training["cnn"].steps * self.training["cnn"].batch
        count = min(each, seen)  # no more than the steps can show: of more, an epoch has some twice
        wanted = synthetic.filling(self.task, targets) if mix.fill else synthetic.like(targets, count)
        make, run = self.gan
        if mix.filtered:
            found = self._filter(wanted, make, run)
            return found, len(found)
        if mix.redrawn:
            stream = synthetic.WIDE if mix.wide else synthetic.REDRAWN
            epochs = -(-seen // (len(targets) + each))
            return synthetic.draw(make, synthetic.like(targets, count * epochs), stream), each
        return synthetic.draw(make, wanted, synthetic.STATIC), len(wanted) if mix.fill else each

    def _filter(self, wanted: Tensor, make: synthetic.Make, run: Path | None) -> Labelled:
        some = torch.cat([wanted] * filtering.CANDIDATES)
        candidates = synthetic.draw(make, some, synthetic.STATIC)
        critic = None if run is None else gan.open_critic(run, self.training["cnn"].device)
        judges = filtering.Judges(predict=self._judge(), critic=critic, features=self.describe)
        self.filtered = filtering.judge(self.task, self.train, candidates, judges, self.near)
        return filtering.choose(self.task, self.filtered, candidates, wanted)

    def _judge(self) -> Predict:
        """A classifier of the real training images alone."""
        arm = Arm(name="", learner="head") if self.backbone is not None else Arm(name="", classical=True)
        return self.fit(arm, TRIALS[arm.learner][1 if arm.learner == "head" else 0])

    @cached_property
    def gan(self) -> tuple[synthetic.Make, Path | None]:
        """The GAN of the training images."""
        return self.open_gan(self.train)

    def describe(self, images: Tensor) -> Tensor:
        """What similarity is judged by: features at the tap, or small pictures where there is no pretrained network."""
        if self.backbone is None:
            return families.thumbnails(images)
        assert self.choices is not None
        return self._tap(images, self.choices.tap)

    def _tap(self, images: Tensor, tap: int) -> Tensor:
        assert self.backbone is not None
        return self.backbone.features(images, self.training["head"].device, (tap,))[tap]

    def features(self, images: Labelled) -> dict[int, Tensor]:
        """Of the pretrained network at every tap, computed once."""
        assert self.backbone is not None
        for known, features in self._features:
            if known is images:
                return features
        features = self.backbone.features(images.images, self.training["head"].device)
        self._features.append((images, features))
        return features
