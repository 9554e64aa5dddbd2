"""Inception Score: exp(E_x KL(p(y|x) || p(y))) (Salimans et al. 2016, section 4), over splits.

High where each image belongs clearly to a class of the classifier and all classes occur. It never looks at real
images, and says little where the images are of none of the classifier's classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastgan.metrics.checks import checked

SPLITS = 10
SEED = 2020


@dataclass(frozen=True)
class InceptionScore:
    """Mean and standard deviation over the splits."""

    mean: float
    std: float


def inception_score(logits: Tensor, *, splits: int = SPLITS, seed: int = SEED) -> InceptionScore:
    """The score of logits [N, K], from 1 to K; shuffled and split as torch-fidelity does.

    Raises MetricError for fewer images than splits and logits that are NaN, infinite or all alike.
    """
    logits = checked(logits, "generated", at_least=splits)
    n = len(logits)
    order = torch.from_numpy(np.random.RandomState(seed).permutation(n))
    log_p = logits[order].log_softmax(1)  # log p(y|x), [N, K]
    scores = []
    for split in range(splits):
        part = log_p[split * n // splits : (split + 1) * n // splits]
        log_marginal = part.logsumexp(0) - np.log(len(part))
        kl = (part.exp() * (part - log_marginal)).sum(1)
        scores.append(float(kl.mean().exp()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))
