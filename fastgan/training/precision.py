"""fp32 or bf16: a rule by the processor, and a measurement of small models that must be clear to overrule it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

import torch

from fastgan.errors import ConfigError
from fastgan.machine import available_memory
from fastgan.nn.precision import has_fast_bf16
from fastgan.training.rehearsal import Cost, rehearse
from fastgan.training.settings import RunConfig
from fastgan.training.trainer import Trainer

MARGIN = 1.15
"""How many times as fast fp32 has to be, in the median of the rounds, to be taken where bf16 is the rule."""
_ROUNDS = 5
_STEPS = 2 * (_ROUNDS + 1)  # of both trainers, the first of each to warm up
_WORK = 4e11  # floating-point operations that measuring may take: seconds on one core
_PATIENCE = 8.0  # seconds of processor time after which measuring ends, whatever it has
_GROUP, _MOST = 4, 32  # images of a measured step: a group of minibatch stddev, and enough to judge by

Round = tuple[float, float]
"""Seconds of processor time that one step took in fp32 and in bf16, one after the other."""


def usual(asked: str, device: torch.device) -> str:
    """What was `asked`, or for "auto" the rule: bf16 where the device multiplies such matrices, else fp32."""
    if asked == "bf16" and device.type not in ("cpu", "cuda"):
        raise ConfigError(f"train.precision = 'bf16' is not possible on {device.type}: use fp32")
    if asked != "auto":
        return asked
    return "bf16" if has_fast_bf16(device) else "fp32"


def measurable(asked: str, device: torch.device, cost: Cost, images: int) -> int:
    """Images of the steps that are worth measuring; 0 where the rule decides.

    cost: that of an iteration of `images`. Large models are all convolutions, in which bf16 wins wherever it is the
    rule, and would take minutes to measure; in small ones the casts between the two may cost more than they save.
    """
    if asked != "auto" or device.type != "cpu" or usual(asked, device) != "bf16":
        return 0
    free = available_memory()
    if free is not None and 3 * (cost.lasting + cost.passing) > free:  # two trainers at once
        return 0
    n = min(images, _MOST)
    while n > _GROUP and n * cost.flops / images * _STEPS > _WORK:
        n //= 2
    return n if n * cost.flops / images * _STEPS <= _WORK else 0


def choose(
    asked: str, device: torch.device, n: int, make: Callable[[str], Trainer], note: Callable[[str], None]
) -> str:
    """The precision to train in; `n` of `measurable` says on how many images it is measured, if at all.

    `make(precision)` builds a trainer to measure with, which is thrown away. `note` is told why.
    """
    rule = usual(asked, device)
    if not n:
        return rule
    note("measuring whether fp32 would be faster than bf16 here, some seconds at most")
    rounds = list(measure(make("fp32"), make("bf16"), n))
    chosen = decide(rounds)
    if rounds:
        ratio = median(fp32 / bf16 for fp32, bf16 in rounds)
        note(f"precision {chosen}: fp32 takes {ratio:.2f} times bf16's processor time for a step")
    return chosen


def settle(config: RunConfig, device: torch.device, make: Callable[[str], Trainer]) -> str:
    """The precision that a run of a `config` that is complete would train in here, as `choose` finds it, in silence."""
    asked, batch = config.train.precision, config.train.batch
    cost = rehearse(config, usual(asked, device))
    return choose(asked, device, measurable(asked, device, cost, batch), make, lambda _: None)


def decide(rounds: Sequence[Round]) -> str:
    """fp32 where it was clearly faster: in every round, and by MARGIN in their median. Else bf16."""
    if len(rounds) < _ROUNDS:
        return "bf16"
    gains = [bf16 / fp32 for fp32, bf16 in rounds]
    return "fp32" if min(gains) > 1 and median(gains) >= MARGIN else "bf16"


def measure(fp32: Trainer, bf16: Trainer, n: int) -> Iterator[Round]:
    """Rounds of a plain step of each on `n` images; fewer where they take longer than anyone would wait.

    In processor time of one thread, which other programs do not count in, and in turns that change places.
    """
    with _one_thread():
        start = time.thread_time()
        for trainer in (fp32, bf16):
            _step(trainer, n)
        for k in range(_ROUNDS):
            if time.thread_time() - start > _PATIENCE:
                return
            order = (fp32, bf16) if k % 2 == 0 else (bf16, fp32)
            seconds = {id(trainer): _step(trainer, n) for trainer in order}
            yield seconds[id(fp32)], seconds[id(bf16)]


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _step(trainer: Trainer, n: int) -> float:
    """Seconds of processor time of a discriminator and a generator step on `n` images, at most a batch."""
    batch = trainer.feed.batch(0, min(trainer.config.train.batch, n))
    real, c = batch.images, trainer.encode(batch)
    start = time.thread_time()
    trainer.step_d(real, False, c)
    trainer.step_g(len(real), real if trainer.objective.loss.GENERATOR_NEEDS_REAL else None, c=c)
    return time.thread_time() - start
