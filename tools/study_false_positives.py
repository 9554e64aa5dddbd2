"""How often does the verdict of `fastgan augment` say that synthetic images help, where it is known whether they do?

    python tools/study_false_positives.py [--studies 200]

Whole studies are run on scikit-learn's 1,797 digits with linear heads on pixels, which take milliseconds, and with
something else in a GAN's place:

    real       other real images of the class: the lift is there, and is to be found
    copies     the training images themselves, drawn with repetition: there is nothing to be found
    noise      images of noise: they can only hurt
    exchanged  other real images instead of the training images, as many: arms that are alike but for chance, so the
               shares of `help` and of `hurt` are those of false alarms

Each study has 5 paired seeds of 10 images a class, arms with 1, 2 and 5 synthetic images for a real one, the statistics
and the verdict of the real thing: `fastgan.study.statistics` and `fastgan.study.verdict`.
"""

import argparse
import collections
import json

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from fastgan.study.arms import Arm, Mix
from fastgan.study.measures import accuracy
from fastgan.study.task import Task
from fastgan.study.transfer import fit_head
from fastgan.study.verdict import judge

SEEDS, PER_CLASS, RATIOS, DECAY = 5, 10, (1, 2, 5), 1e-2
ARMS = [
    Arm(name="real", learner="head"),
    Arm(name="real, less decay", learner="head"),
    *(Arm(name=f"synthetic x{r}", learner="head", mix=Mix(ratio=r), beside="real") for r in RATIOS),
]
KINDS = ("real", "copies", "noise", "exchanged")


def synthetic(kind: str, train: Tensor, others: Tensor, count: int, random: torch.Generator) -> Tensor:
    """`count` images [count, D] of one class, in a GAN's place."""
    if kind == "noise":
        return torch.rand(count, train.shape[1], generator=random)
    source = train if kind == "copies" else others
    return source[torch.randint(len(source), (count,), generator=random)]


def study(kind: str, x: Tensor, y: Tensor, number: int) -> str:
    """The outcome of one study: its own split, its own seeds."""
    task = Task(tuple(map(str, range(10))))
    random = torch.Generator().manual_seed(number)
    order = torch.randperm(len(x), generator=random)
    test, val, pool = order[:500], order[500:700], order[700:]
    scores: dict[str, list[float]] = {arm.name: [] for arm in ARMS}
    valid: dict[str, list[float]] = {arm.name: [] for arm in ARMS}
    for _ in range(SEEDS):
        drawn = pool[torch.randperm(len(pool), generator=random)]
        own = [drawn[y[drawn] == k] for k in range(10)]
        train = [rows[:PER_CLASS] for rows in own]
        made = [
            synthetic(kind, x[a], x[rows[PER_CLASS:]], max(RATIOS) * PER_CLASS, random)
            for a, rows in zip(train, own, strict=True)
        ]
        for arm in ARMS:
            kept, more = PER_CLASS, 0 if arm.mix is None else int(arm.mix.ratio) * PER_CLASS
            if kind == "exchanged" and more:
                kept, more = 0, PER_CLASS
                made = [m.roll(PER_CLASS, 0) for m in made]  # each arm its own
            images = torch.cat([torch.cat([x[a[:kept]], m[:more]]) for a, m in zip(train, made, strict=True)])
            labels = torch.arange(10).repeat_interleave(kept + more)
            head = fit_head(task, images, labels, DECAY / 10 if "less" in arm.name else DECAY)
            for rows, found in ((test, scores), (val, valid)):
                found[arm.name].append(accuracy(task, head(x[rows]), y[rows]))
    return judge(ARMS, scores, valid, grain=1 / len(test)).outcome


def main() -> None:
    """Count outcomes and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first study")
    parser.add_argument("--kinds", nargs="*", default=KINDS, choices=KINDS)
    arguments = parser.parse_args()
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
    for kind in arguments.kinds:
        numbers = range(arguments.first, arguments.first + arguments.studies)
        outcomes = collections.Counter(study(kind, x, y, number) for number in numbers)
        print(json.dumps({"kind": kind, "studies": len(numbers), **outcomes}), flush=True)


if __name__ == "__main__":
    main()
