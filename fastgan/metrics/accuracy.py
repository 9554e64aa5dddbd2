"""Classification accuracy score: does a classifier that saw generated images alone know real ones?

Ravuri & Vinyals (2019, section 3) train a ResNet on the pixels. Here the classifier is a logistic regression on an
extractor's features: convex, so that nothing depends on a seed, and done in seconds. It says less about detail
that the extractor does not see; the card names it. The same classifier trained on as many real images is the mark to
reach.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fastgan.metrics.checks import check_widths, checked

CLASSIFIER = "logistic regression on standardised features"
DECAY = 1e-3
"""Weight of the squared weights, halved, beside the mean cross-entropy"""
_STEPS = 200


def classification_accuracy(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Share of test features [M, D] that a classifier trained on features [N, D] gives their label int64 [M].

    Raises MetricError for features that are unfit.
    """
    check_widths(train, test)
    train, test = checked(train, "training"), checked(test, "test", at_least=1)
    mean, deviation = train.mean(0), train.std(0).clamp(min=1e-9)
    weight, bias = _fit((train - mean) / deviation, labels)
    predicted = ((test - mean) / deviation @ weight + bias).argmax(1)
    return float((predicted == test_labels).double().mean())


def _fit(x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [D, classes] and bias [classes] of the least regularised cross-entropy, float64."""
    classes = int(labels.max()) + 1
    weight = x.new_zeros(x.shape[1], classes, requires_grad=True)
    bias = x.new_zeros(classes, requires_grad=True)
    descent = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        value = F.cross_entropy(x @ weight + bias, labels) + DECAY / 2 * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        descent.step(loss)
    return weight.detach(), bias.detach()
