"""Is a compiled penalty faster than the eager one on our ops? By 2 to 10%, for 13 to 40 s of compiling: not kept.

    milliseconds (speed-up) of   eager   traced        dynamo       compiling traced, dynamo
    dcgan width 32, fp32         71.0    65.6 (1.09)   107 (0.67)   30 s, 19 s
    dcgan width 32, bf16         50.8    45.4 (1.10)   69.0 (0.72)  13 s, 22 s
    stylegan 1/8 width, fp32     246     241 (1.02)    291 (0.84)   40 s, 40 s
    stylegan 1/8 width, bf16     132     123 (1.08)    158 (0.84)   15 s, 16 s

Zen 5 (AVX-512, AVX512-BF16), torch 2.13.0+cpu, medians of 7 rounds or more. Convolutions are three quarters of the
time, which leaves a compiler little to fuse; a penalty every 16th step makes the gain less than 1% of training.

    python -m benchmarks.penalised_step [dcgan|stylegan ...]

Each contender takes R1 (weight 5) of 64 px images to gradients of the discriminator's parameters:

- `eager`: what `fastgan train` runs: our ops, and convolutions with a fast second derivative.
- `traced`: make_fx over both derivatives, then torch.compile of the resulting graph of aten and our ops.
- `dynamo`: torch.compile with torch._dynamo.config.trace_autograd_ops, the first derivative inside it, the second by
  the backward pass that it makes.

One thread, CPU time, in turns; compile seconds are of the first call with empty caches.
"""

import time
from collections.abc import Callable

import click
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from fastgan import allocator, models, ops
from fastgan.benchmark.timing import Contender, Settings, measure
from fastgan.losses import penalties

WEIGHT = 5.0
CASES = {
    "dcgan": (32, {"width": 32, "norm": "none"}),
    "stylegan": (16, {"channel_multiplier": 0.125}),
}


def penalty(discriminator: nn.Module, real: Tensor, bf16: bool) -> Tensor:
    """The term that training adds to the loss, in training's precision."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return WEIGHT * penalties.r1(discriminator, real)


def used(discriminator: nn.Module, real: Tensor) -> dict[str, Tensor]:
    """The parameters that the penalty depends on, by name."""
    penalty(discriminator, real, False).backward()
    found = {name: p for name, p in discriminator.named_parameters() if p.grad is not None}
    discriminator.zero_grad()
    return found


def eager(discriminator: nn.Module, real: Tensor, bf16: bool) -> Callable[[], object]:
    """Plain calls."""
    parameters = list(used(discriminator, real).values())
    return lambda: torch.autograd.grad(penalty(discriminator, real, bf16), parameters)


def traced(discriminator: nn.Module, real: Tensor, bf16: bool) -> Callable[[], object]:
    """One graph of both derivatives, compiled."""
    named = used(discriminator, real)

    def gradients(values: list[Tensor], images: Tensor) -> tuple[Tensor, ...]:
        values = [value.detach().requires_grad_() for value in values]
        with torch.enable_grad():
            bound = dict(zip(named, values, strict=True))
            term = penalty(lambda x: torch.func.functional_call(discriminator, bound, (x,)), images, bf16)
            return torch.autograd.grad(term, values)

    values = [value.detach() for value in named.values()]
    graph = make_fx(gradients)(values, real)
    compiled = torch.compile(graph, fullgraph=True)
    return torch.no_grad()(lambda: compiled(values, real))


def dynamo(discriminator: nn.Module, real: Tensor, bf16: bool) -> Callable[[], object]:
    """The first derivative traced by dynamo."""
    torch._dynamo.config.trace_autograd_ops = True
    parameters = list(used(discriminator, real).values())

    @torch.compile(fullgraph=True)
    def term(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
            return WEIGHT * ops.gradient_penalty(gradient, center=0.0)

    leaf = real.clone().requires_grad_()
    return lambda: torch.autograd.grad(term(leaf), parameters)


def ask(name: str, bf16: bool) -> None:
    """Print a line a contender: seconds of the first call, difference from eager, milliseconds, speed-up."""
    batch, options = CASES[name]
    torch.manual_seed(0)
    module = models.load(name)
    discriminator = module.Discriminator(module.Config(**options)).to(memory_format=torch.channels_last)
    real = torch.randn(batch, 3, 64, 64).to(memory_format=torch.channels_last)
    contenders, found, first = [], {}, {}
    for make in (eager, traced, dynamo):
        began = time.perf_counter()
        call = make(discriminator, real, bf16)
        found[make.__name__] = call()
        first[make.__name__] = time.perf_counter() - began
        contenders.append(Contender(name=make.__name__, call=call))
    measured = measure(contenders, Settings(budget_s=4, min_rounds=7))
    print(f"{name}, {'bf16' if bf16 else 'fp32'}")
    for key, gradients in found.items():
        apart = max((a - b).norm() / b.norm() for a, b in zip(gradients, found["eager"], strict=True))
        ratio, milliseconds = measured.speedup(key, "eager"), 1e3 * measured.time(key).median
        print(
            f"  {key}: first call {first[key]:.1f} s, gradients apart by {apart:.1e}, {milliseconds:.1f} ms, "
            f"{ratio.median:.2f}x ({ratio.q1:.2f}-{ratio.q3:.2f})"
        )


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(CASES)))
def main(names: tuple[str, ...]) -> None:
    """Measure and print."""
    allocator.keep_memory()
    torch.set_num_threads(1)
    for name in names or CASES:
        for bf16 in (False, True):
            ask(name, bf16)


if __name__ == "__main__":
    main()
