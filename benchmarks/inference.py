"""How many images a second does a generator make: plain torch, torch.compile, ONNX Runtime, `fastgan generate`?

python -m benchmarks.inference [--device cuda] [--threads 2] [--no-compile]
"""

import click

from benchmarks.publish import publish
from fastgan.bench import suite


@click.command()
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--compile/--no-compile", "compiled", default=True, show_default=True)
def main(device: str, threads: int, compiled: bool) -> None:
    """Measure and write results/inference-<device>.json."""
    request = suite.Request(
        sections=["inference"], device=device, threads=threads, compiled=compiled, budget_s=20
    )
    publish(request, "inference")


if __name__ == "__main__":
    main()
