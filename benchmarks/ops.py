"""How fast is each op against the best eager composition, torch.compile, and a copy of the bytes it must move?

    python -m benchmarks.ops [--device cuda] [--threads 2] [--no-compile]

fp32 and bf16, NCHW and channels_last, forward alone and with backward, at the shapes of a StyleGAN's layers.
"""

import click

from benchmarks.publish import publish
from fastgan.bench import suite


@click.command()
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--compile/--no-compile", "compiled", default=True, show_default=True)
def main(device: str, threads: int, compiled: bool) -> None:
    """Measure and write results/ops-<device>.json."""
    request = suite.Request(sections=["ops"], device=device, threads=threads, compiled=compiled, budget_s=1)
    publish(request, "ops")


if __name__ == "__main__":
    main()
