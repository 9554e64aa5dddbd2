"""What do the fused ends of a gradient penalty gain in a whole step?

    python -m benchmarks.penalty_share [--device cuda] [--threads 2]

`interpolate` and `gradient_penalty` are what WGAN-GP adds around the two backward passes. One penalised discriminator
step (preset wgan-gp at 64 px) is timed with ours and with the best eager compositions of these two ops, and the two ops
are timed alone, forward and backward as in the step, all in turns.
"""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from benchmarks.publish import RESULTS, slug
from fastgan import allocator, ops
from fastgan.benchmark import eager, report, suite, train
from fastgan.benchmark.request import Request
from fastgan.benchmark.timing import Contender, Settings, measure
from fastgan.data.feed import Feed
from fastgan.device import choose
from fastgan.files import write_json
from fastgan.training import assemble, precision

ENDS = ("interpolate", "gradient_penalty")


def _alone(real: Tensor, fake: Tensor, t: Tensor) -> Callable[[], object]:
    """The two ops on a step's tensors: the point between the images, and the penalty with its gradient."""
    grad = torch.randn_like(real).requires_grad_()

    def call() -> object:
        with torch.no_grad():
            ops.interpolate(real, fake, t)
        return torch.autograd.grad(ops.gradient_penalty(grad), grad)

    return call


def ask(case: train.Case, device: torch.device, timing: Settings) -> dict[str, Any]:
    """Measure one case; returns what goes into the JSON."""
    settings = case.config()
    feed = Feed(train._images(512), device=device)
    chosen = precision.settle(
        settings, device, lambda name: assemble.make_trainer(settings, feed, device, name)
    )
    trainer = assemble.make_trainer(settings, feed, device, chosen)
    real = feed.batch(0, case.batch)[0]
    alone = _alone(real, torch.randn_like(real), torch.rand(case.batch, device=device))

    def within(plain: bool, call: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            with eager.as_ops(*ENDS) if plain else nullcontext():
                return call()

        return run

    calls = {"step": lambda: trainer.step_d(real, True), "ends": alone}
    contenders = [
        Contender(name=f"{what} {side}", call=within(side == "eager", call))
        for what, call in calls.items()
        for side in ("ours", "eager")
    ]
    measured = measure(contenders, timing)
    return {
        "model": case.name,
        "batch": case.batch,
        "precision": chosen,
        "seconds": {name: measured.time(name).to_json() for name in measured.seconds},
        "step_speedup": measured.speedup("step ours", "step eager").to_json(),
        "ends_speedup": measured.speedup("ends ours", "ends eager").to_json(),
        "share_of_step": measured.speedup("step eager", "ends eager").to_json(),
    }


def publish(device: str, threads: int, budget_s: float, folder: Path = RESULTS) -> Path:
    """Measure and write results/penalty-<device>.json."""
    kept = "tuned" if allocator.keep_memory() else "default"  # as `fastgan train` does
    device = str(choose(device))
    request = Request(sections=["train"], device=device, threads=threads, budget_s=budget_s)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    case = train.Case(name="dcgan-64 width 32, wgan-gp", preset="wgan-gp", batch=32, model={"width": 32})
    row = ask(case, torch.device(device), suite.timing(request, device, section="train"))
    document = {**report.header(device), "allocator": kept, "sections": {"penalty": {"rows": [row]}}}
    torch.set_num_threads(before)
    path = folder / f"penalty-{slug(document['device'])}.json"
    write_json(path, document)
    return path


@click.command()
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(device: str, threads: int) -> None:
    """Measure and write results/penalty-<device>.json."""
    print(publish(device, threads, budget_s=12))


if __name__ == "__main__":
    main()
