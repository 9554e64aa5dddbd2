"""How fast training goes here: a few iterations of the very networks on images of noise, before anything is packed.

An iteration with a lazy penalty takes longer than one without, and one of a network that has not grown yet, or that
only reconstructs, less: each kind is timed, and counts as often as it comes.
"""

import gc
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache

import torch

from fastgan.data import Dataset, Feed
from fastgan.training import assemble, growing, planned
from fastgan.training.rehearsal import Cost
from fastgan.training.settings import RunConfig
from fastgan.training.trainer import Trainer

_IMAGES = 64
"""In the set that is trained on; more would only cost memory."""
_ENOUGH, _ROUNDS = 0.3, 5
"""Seconds, or timed iterations, after which a kind is known; at least one is timed after one that is not."""
_PATIENCE = 6.0
"""Seconds after which no kind is timed twice."""
_STEP = 0.3
"""Seconds that an iteration should take, at a processor's best, for its images to be as many as in training."""
_TOO_LONG = 5.0
"""Seconds at the processor's best above which not even a few images are tried: then that best is the answer."""
_FEWEST = 4  # a group of minibatch stddev
_LONG = 1e9  # kimg
_KINDS = 10_000  # iterations among which kinds are counted
_WARM_UP = {"cpu": 1, "cuda": 4}  # a GPU picks algorithms, and captures graphs after two


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """How fast a configuration is trained here."""

    by_resolution: Mapping[int, float]
    """Real images a second, of all resolutions that a growing network goes through"""
    reconstructing: float | None = None
    """Real images a second while they are only reconstructed (train.reconstruction_kimg)"""
    measured: bool = True
    """False: what the arithmetic alone allows at the very most"""


def measure(
    config: RunConfig, device: torch.device, precision: str, cost: Cost, *, processes: int = 1
) -> Speeds:
    """Real images a second that `processes` like this one train at together.

    config: complete (`assemble.resolve`). cost: what an iteration takes there (`rehearsal.rehearse`). Random numbers
    are as before afterwards. Takes a second or a few; of models that would take longer, their arithmetic at the speed
    of a matrix product is the answer, which none of them reaches.
    """
    train = config.train
    share = train.batch // processes // train.accumulate
    flops = cost.flops / (share * train.accumulate)  # an image's
    n = share if device.type == "cuda" else _affordable(share, flops, precision)
    best = _peak(precision) / flops if device.type == "cpu" and flops else math.inf
    if _FEWEST / best > _TOO_LONG:
        phases = growing.phases(train, config.model.resolution)
        return Speeds(by_resolution={phase.resolution: processes * best for phase in phases}, measured=False)
    alone = replace(config, train=replace(train, batch=n, accumulate=1))
    with _random_numbers_kept(device):
        timed, only = _measured(alone, device, precision)
    if device.type == "cuda":  # what is free is asked for again
        gc.collect()
        torch.cuda.empty_cache()
    return Speeds(
        by_resolution={size: processes * speed for size, speed in timed.items()},
        reconstructing=processes * only if only else None,
    )


def _measured(
    config: RunConfig, device: torch.device, precision: str
) -> tuple[dict[int, float], float | None]:
    """Images a second of one process by resolution, and while it only reconstructs; all that it took is free then."""
    kimg = config.train.reconstruction_kimg
    with closing(_feed(config, device)) as feed:
        trainer = assemble.make_trainer(_reconstructing(config, 0.0), feed, device, precision)
        timed = dict(_timed(trainer, device))
        if not kimg:
            return timed, None
        trainer.config = _reconstructing(config, _LONG)
        phase = replace(trainer.phases[0], grows=False, iterations=10**9)
        seconds = _seconds(trainer, device, phase, 0, time.perf_counter())
        return timed, phase.iteration_nimg / seconds


def _reconstructing(config: RunConfig, kimg: float) -> RunConfig:
    return replace(config, train=replace(config.train, reconstruction_kimg=kimg))


def seconds_for(config: RunConfig, speeds: Speeds, nimg: float) -> float:
    """How long training on `nimg` real images takes at `speeds`: less at first, where it reconstructs or grows."""
    taken, only = 0.0, 0.0
    if speeds.reconstructing is not None:
        only = min(1000 * config.train.reconstruction_kimg, nimg)
        taken = only / speeds.reconstructing
    for phase in growing.phases(config.train, config.model.resolution):
        images = min(nimg, phase.end) - max(phase.start, only)
        taken += max(images, 0) / speeds.by_resolution[phase.resolution]
    return taken


def reach(config: RunConfig, speeds: Speeds, seconds: float) -> float:
    """How many real images training comes to in `seconds`, whose schedules may themselves be planned by that."""
    if config.train.grow_from is None and speeds.reconstructing is None:
        return seconds * speeds.by_resolution[config.model.resolution]
    least, most = 0.0, seconds * max(*speeds.by_resolution.values(), speeds.reconstructing or 0.0)
    for _ in range(40):
        nimg = (least + most) / 2
        train = planned.settle(replace(config.train, planned_kimg=max(nimg / 1000, 1e-3)))
        taken = seconds_for(replace(config, train=train), speeds, nimg)
        least, most = (nimg, most) if taken <= seconds else (least, nimg)
    return least


def _affordable(share: int, flops: float, precision: str) -> int:
    """Images of an iteration that does not take long to try."""
    n = share
    while n > _FEWEST and n * flops > _STEP * _peak(precision):
        n //= 2
    return min(max(n, _FEWEST), share)


@cache
def _peak(precision: str) -> float:
    """Floating-point operations a second of this CPU in a matrix product."""
    side = 1024
    x = torch.ones(side, side, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    best = math.inf
    for _ in range(4):
        start = time.perf_counter()
        x @ x
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def _timed(trainer: Trainer, device: torch.device) -> Iterator[tuple[int, float]]:
    """Resolution and images a second of all resolutions that `trainer` goes through."""
    begun = time.perf_counter()
    stable = [phase for phase in trainer.phases if not phase.fading]
    for found in stable:
        endless = None if found.iterations is None else 10**9  # while it is timed
        phase = replace(found, grows=False, iterations=endless)
        trainer.phases = (phase,)
        total = count = 0.0
        for iteration, often in _kinds(trainer.config, phase):
            total += often * _seconds(trainer, device, phase, iteration, begun)
            count += often
        yield phase.resolution, phase.iteration_nimg * count / total


def _kinds(config: RunConfig, phase: growing.Phase) -> list[tuple[int, int]]:
    """The first iteration of `phase` of each kind, and how many are of this kind."""
    loss = config.loss
    penalised = loss.penalty_interval if loss.penalty != "none" else 1
    smoothed = loss.path_length_interval if loss.path_length else 1
    reconstructs = loss.reconstruction_interval if loss.reconstruction else 1
    intervals = penalised, smoothed, reconstructs
    firsts: dict[tuple[bool, ...], int] = {}
    counted: Counter[tuple[bool, ...]] = Counter()
    for k in range(min(math.lcm(*intervals), _KINDS)):
        kind = tuple((phase.first + k) % interval == 0 for interval in intervals)
        firsts.setdefault(kind, k)
        counted[kind] += 1
    return [(firsts[kind], counted[kind]) for kind in firsts]


def _seconds(
    trainer: Trainer, device: torch.device, phase: growing.Phase, iteration: int, begun: float
) -> float:
    """What an iteration of one kind takes: the median of some."""
    times: list[float] = []
    waiting = _WARM_UP.get(device.type, 1)
    while len(times) < _ROUNDS and sum(times) < _ENOUGH:
        trainer.cur_nimg = phase.start + iteration * phase.iteration_nimg
        start = time.perf_counter()
        trainer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if waiting > 0:
            waiting -= 1
            continue
        times.append(time.perf_counter() - start)
        if time.perf_counter() - begun > _PATIENCE:
            break
    return sorted(times)[len(times) // 2]


def _feed(config: RunConfig, device: torch.device) -> Feed:
    """Images of noise with the conditions that the networks take."""
    model = config.model
    shape = (_IMAGES, model.resolution, model.resolution, model.img_channels)
    noise = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    names = tuple(map(str, range(model.attributes)))
    dataset = Dataset(
        images=noise,
        labels=torch.arange(_IMAGES) % model.classes if model.classes else None,
        class_names=tuple(map(str, range(model.classes))),
        attributes=torch.zeros(_IMAGES, model.attributes) if names else None,
        attribute_names=names,
        content_hash="",
    )
    data = config.data
    return Feed(
        dataset,
        device=device,
        mirror=data.mirror,
        flip_vertical=data.flip_vertical,
        rotate=data.rotate,
        scale=data.scale,
    )


@contextmanager
def _random_numbers_kept(device: torch.device) -> Iterator[None]:
    """torch's default generators as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
