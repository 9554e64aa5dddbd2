"""How many images a second does a whole training iteration show, against plain eager torch on the same networks?

    python -m benchmarks.train_step [--device cuda] [--threads 2]

`plain` is fp32, NCHW, textbook Adam; `eager` is our trainer without our kernels; `fastgan` is `fastgan train`.
"""

import click

from benchmarks.publish import publish
from fastgan.benchmark.request import Request


@click.command()
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(device: str, threads: int) -> None:
    """Measure and write results/train-<device>.json."""
    publish(Request(sections=["train"], device=device, threads=threads, budget_s=60), "train")


if __name__ == "__main__":
    main()
