"""A training iteration: fastgan's own trainer against the same networks trained by plain eager torch.

- `plain`: what a tutorial would write: fp32, NCHW, the best eager compositions for ops, Adam and the average of
  the generator parameter by parameter.
- `eager`: fastgan's trainer (precision, channels_last, fused Adam, one-launch average) with the best eager
  compositions in the place of its kernels: what the kernels alone are worth.
- `no graphs` (CUDA): the trainer with its kernels, launched one by one: what replaying CUDA graphs is worth.
- `fastgan`: the trainer as `fastgan train` runs it.

An iteration is a discriminator step and a generator step. A lazy penalty is counted with its share: iterations
with and without it are timed in the same rounds and weighted by how often they occur.
"""

import copy
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fastgan import allocator, config, losses, machine
from fastgan.benchmark import eager
from fastgan.benchmark.request import Request
from fastgan.benchmark.timing import Contender, Measured, Settings, measure, throughput_row
from fastgan.config import require
from fastgan.data.dataset import Dataset, content_hash
from fastgan.data.feed import Feed
from fastgan.training import assemble, precision
from fastgan.training.settings import RunConfig

RESOLUTION = 64


@dataclass(frozen=True, kw_only=True)
class Case:
    """A preset with the settings that make it small enough for the device."""

    name: str
    preset: str
    batch: int
    model: dict[str, Any]

    def config(self) -> RunConfig:
        """The preset, resolved for random RGB images of 64 px."""
        tables = config.merge(
            config.preset(self.preset), {"model": self.model, "train": {"batch": self.batch}}
        )
        return assemble.resolve(config.build(RunConfig, tables), _images(2))


def cases(device: str, models: Sequence[str]) -> list[Case]:
    """The cases for a device, narrowed to the named presets."""
    if device.startswith("cuda"):
        found = [
            Case(name="dcgan-64", preset="dcgan", batch=128, model={}),
            Case(name="stylegan-64", preset="stylegan", batch=64, model={}),
        ]
    else:
        found = [
            Case(name="dcgan-64 width 32", preset="dcgan", batch=32, model={"width": 32}),
            Case(
                name="stylegan-64 eighth width",
                preset="stylegan",
                batch=16,
                model={"channel_multiplier": 0.125, "z_dim": 128, "w_dim": 128},
            ),
        ]
    presets = [case.preset for case in found]
    for name in models:
        require(name in presets, f"--model {name!r} is unknown here: choose from {', '.join(presets)}.")
    return [case for case in found if not models or case.preset in models]


def _images(count: int) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, RESOLUTION, RESOLUTION, 3), dtype=torch.uint8, generator=generator)
    return Dataset(images=images, content_hash=content_hash(images))


def peak_memory(case: Case, name: str, device: str, chosen: str, threads: int) -> int:
    """Bytes that the iterations of contender `name` take at most, with and without penalty: for a process of its own.

    On CUDA what torch has allocated; on a CPU how far the process has grown since it imported torch, everything that
    libraries keep included. Data are 32 images.
    """
    allocator.keep_memory()
    torch.set_num_threads(threads)
    before = machine.peak_memory() or 0
    settings = case.config()
    feed = Feed(_images(32), device=device)
    step = contenders(settings, feed, torch.device(device), chosen)[name]()
    for penalise in (True, False):
        step(penalise)
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    return (machine.peak_memory() or 0) - before


def measure_memory(case: Case, row: Mapping[str, Any], device: str) -> dict[str, int]:
    """`peak_memory` of every contender of a row, one after the other."""
    peaks = {}
    for name in row["images_per_second"]:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            work = process.submit(peak_memory, case, name, device, row["precision"], torch.get_num_threads())
            peaks[name] = work.result()
    return peaks


class PlainLoop:
    """The textbook loop over the same networks, losses and penalty; `step(penalise)` is one iteration."""

    def __init__(self, settings: RunConfig, feed: Feed, device: torch.device) -> None:
        self.settings, self.feed, self.device = settings, feed, device
        built: Mapping[str, Any] = assemble.networks(settings, device)
        self.g, self.d = (
            net.to(device, memory_format=torch.contiguous_format)
            for net in (built["generator"], built["discriminator"])
        )
        self.average = copy.deepcopy(self.g).eval().requires_grad_(False)
        self.loss, self.penalty = losses.load(settings.loss.name), assemble.make_penalty(settings.loss)
        train = settings.train
        self.g_adam, self.d_adam = (
            torch.optim.Adam(
                net.parameters(), lr=lr, betas=(train.beta1, train.beta2), foreach=False, fused=False
            )
            for net, lr in ((self.g, train.lr_g), (self.d, train.lr_d))
        )

    def _fakes(self) -> Tensor:
        return self.g(torch.randn(self.settings.train.batch, self.g.z_dim, device=self.device))

    def step(self, penalise: bool) -> None:
        """One discriminator step, one generator step, the average."""
        real = self.feed.batch(0, self.settings.train.batch)[0].contiguous()
        with torch.no_grad():
            fake = self._fakes()
        self.d_adam.zero_grad()
        loss = self.loss.discriminator(self.d(real), self.d(fake))
        if penalise and self.penalty is not None:
            loss = loss + self.settings.loss.penalty_interval * self.penalty(self.d, real, fake)
        loss.backward()
        self.d_adam.step()

        self.g_adam.zero_grad()
        self.loss.generator(self.d(self._fakes())).backward()
        self.g_adam.step()
        with torch.no_grad():
            for mean, parameter in zip(self.average.parameters(), self.g.parameters(), strict=True):
                mean.mul_(0.999).add_(parameter, alpha=0.001)


Step = Callable[[bool], None]


def _within(context: Callable[[], AbstractContextManager[Any]], step: Step) -> Step:
    def run(penalise: bool) -> None:
        with context():
            step(penalise)

    return run


def contenders(
    settings: RunConfig, feed: Feed, device: torch.device, chosen: str
) -> dict[str, Callable[[], Step]]:
    """What builds every contender's iteration; `chosen` is the trainer's precision."""

    def trainer_step(cuda_graphs: str) -> Step:
        how = config.merge(config.to_mapping(settings), {"train": {"cuda_graphs": cuda_graphs}})
        trainer = assemble.make_trainer(config.build(RunConfig, how), feed, device, chosen)

        def step(penalise: bool) -> None:
            trainer.cur_nimg = (
                0 if penalise else trainer.iteration_nimg
            )  # the first of a lazy cycle penalises
            trainer.step()

        return step

    no_graphs = {"no graphs": lambda: _within(nullcontext, trainer_step("off"))}
    return {
        "plain": lambda: _within(eager.as_ops, PlainLoop(settings, feed, device).step),
        "eager": lambda: _within(eager.as_ops, trainer_step("off")),
        **(no_graphs if device.type == "cuda" else {}),
        "fastgan": lambda: _within(nullcontext, trainer_step("auto")),
    }


def _steps(settings: RunConfig, device: torch.device) -> tuple[dict[str, Step], str]:
    """Every contender's iteration, and the precision that `fastgan train` would choose here."""
    feed = Feed(_images(512), device=device)
    chosen = precision.settle(
        settings, device, lambda name: assemble.make_trainer(settings, feed, device, name)
    )
    made = contenders(settings, feed, device, chosen)
    return {name: make() for name, make in made.items()}, chosen


def blend(measured: Measured, names: Sequence[str], shares: Mapping[bool, float]) -> Measured:
    """Seconds of a mean iteration of each contender, round by round, from those of its kinds."""
    rounds = range(len(next(iter(measured.seconds.values()))))
    return Measured(
        {
            name: [
                sum(share * measured.seconds[f"{name} {kind}"][r] for kind, share in shares.items())
                for r in rounds
            ]
            for name in names
        }
    )


def ask(case: Case, device: str, timing: Settings, baseline: str = "plain") -> dict[str, Any]:
    """Time one case; returns what goes into the JSON."""
    settings = case.config()
    steps, chosen = _steps(settings, torch.device(device))
    interval = settings.loss.penalty_interval
    kinds = {True: 1 / interval} if interval == 1 else {True: 1 / interval, False: 1 - 1 / interval}
    timed = [
        Contender(name=f"{name} {penalise}", call=lambda s=step, p=penalise: s(p), units=case.batch)  # type: ignore[misc]
        for name, step in steps.items()
        for penalise in kinds
    ]
    seconds = blend(measure(timed, timing), list(steps), kinds)
    row = throughput_row(seconds, baseline=baseline)
    return {
        "model": case.name,
        "batch": case.batch,
        "precision": chosen,
        "baseline": baseline,
        "penalty": f"{settings.loss.penalty} every {interval}",
        **row,
    }


def run(
    request: Request, device: str, timing: Settings, progress: Callable[[str], None] = lambda _: None
) -> list[dict[str, Any]]:
    """Measure every case for the device."""
    rows = []
    for case in cases(device, request.models):
        progress(f"training {case.name}")
        row = ask(case, device, timing, request.baseline)
        progress(f"memory of {case.name}")
        rows.append({**row, "peak_bytes": measure_memory(case, row, device)})
    return rows
