"""What each op must cost: the bytes that have to move and the arithmetic, whoever computes it.

Bytes count every tensor once per pass: the forward pass reads its arguments and writes y; the backward pass reads
g (the gradient of y) and what the derivative depends on, and writes the gradients that training asks for. Nothing
is counted for what an implementation may choose to store or read again. So, with X the bytes of x:

    op                 forward                 backward
    style_epilogue     x, noise -> y           g, x, noise -> dx         2 X, and 3 X
    adain              x -> y                  g, x -> dx                2 X, and 3 X
    bias_act           x -> y                  g, y -> dx                2 X, and 3 X
    upsample2x         x -> y                  g -> dx                   5 X, and 5 X
    downsample2x       x -> y                  g -> dx                   1.25 X, and 1.25 X
    interpolate        real, fake -> y         never asked for           3 X
    gradient_penalty   grad -> scalar          grad -> dgrad             1 X, and 2 X

plus the small ones (noise is X / C; strength, bias [C]; scale, shift [N, C]). An op that is not in the tables below
is taken to read all its arguments in both passes, and its arithmetic is unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

_BACKWARD_READS: dict[str, tuple[str, ...]] = {
    "style_epilogue": ("x", "noise", "strength", "bias", "scale"),
    "adain": ("x", "scale"),
    "bias_act": ("y",),  # the sign of y is that of x + bias
    "upsample2x": (),  # linear
    "downsample2x": (),
}

# Additions, multiplications and comparisons for each element of the first argument (a fused multiply-add is two):
# the separable form of a blur, the two-step form of a variance.
_FLOPS: dict[str, tuple[float, float]] = {
    "style_epilogue": (11, 19),
    "adain": (6, 9),
    "bias_act": (4, 3),
    "upsample2x": (18, 21),
    "downsample2x": (5.25, 4.5),
    "interpolate": (3, 0),
    "gradient_penalty": (2, 1),
}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Bytes to read and write, bytes of memory they lie in (what both passes read counts once), flops if known."""

    moved: int
    footprint: int
    flops: float | None


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def cost(op: str, arguments: Mapping[str, Tensor], output: Tensor, *, backward: bool) -> Cost:
    """What one call of `op` costs; `backward` adds the gradients of the arguments that require them.

    arguments: by their names in the op's signature, in order; output: its result (of which only the size matters).
    """
    sizes = {name: _bytes(tensor) for name, tensor in arguments.items()} | {"y": _bytes(output)}
    touched = [*arguments, "y"]
    if backward:
        sizes["g"] = sizes["y"]
        wanted = [name for name, tensor in arguments.items() if tensor.requires_grad]
        sizes |= {f"d{name}": sizes[name] for name in wanted}
        touched += ["g", *_BACKWARD_READS.get(op, tuple(arguments)), *(f"d{name}" for name in wanted)]
    elements = next(iter(arguments.values())).numel()
    per_element = _FLOPS.get(op)
    return Cost(
        moved=sum(sizes[name] for name in touched),
        footprint=sum(sizes[name] for name in set(touched)),
        flops=None if per_element is None else elements * sum(per_element[: 1 + backward]),
    )
