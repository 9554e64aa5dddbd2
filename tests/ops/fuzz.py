"""What a fuzzed call of an op looks like: shapes, strides, values and settings, drawn at random.

A `Call` is small and printable, and `Call.build` makes its tensors from its seed: an example that fails is reproduced
by pasting the Call that the failure names. Every day the examples are the same, whatever else is imported and whichever
version of hypothesis is installed; FASTGAN_FUZZ_EXAMPLES=5000 turns them into a campaign of that many new ones a test,
drawn and shrunk by hypothesis.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastgan import ops
from fastgan.ops.cases import accumulation_dtype
from tests.conftest import DEVICE

CAMPAIGN = int(os.environ.get("FASTGAN_FUZZ_EXAMPLES", "0"))
OPS = {op.name: op for op in ops.discover()}
NORMALISING = ["adain", "style_epilogue"]
IMAGE_OPS = ["adain", "style_epilogue", "bias_act", "upsample2x", "downsample2x"]
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]

# Around every vector width, and around the chunks that kernels cut long planes and runs of pixels into.
CHANNELS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 19, 31, 32, 33, 63, 64, 65]
SIDES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 17, 31, 32, 33, 63, 64, 65]
LONG_PLANES = [(5, 819), (64, 64), (17, 241), (1, 4095), (2, 2048), (4097, 1), (91, 90)]
MOST_VALUES = 40_000

IMAGE_LAYOUTS = [
    *("nchw", "nhwc", "gap", "cropped", "nhwc cropped"),
    *("transposed", "offset", "nhwc offset", "shared", "flat planes"),
]
FLAT_LAYOUTS = ["nchw", "gap", "offset", "shared"]
PARAMETER_LAYOUTS = ["nchw", "gap", "offset", "shared"]
FINITE = [
    *("normal", "integers", "large mean", "constant", "near constant", "outlier first", "wide"),
    *("zeros", "huge", "vast", "tiny", "subnormal"),
]
TAPS = [(1, 3, 3, 1), (1, 1), (1, 2, 4, 3), (-1, 9, 9, -1), (0, 1, 0, 0), (1, 0, 0, 2), (0.1, 0.7)]


Draw = Callable[[Random], Any]  # a value from a source of randomness


def fuzz(examples: int, **drawn: Draw) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """The test, called with so many examples of what is `drawn` by name; a campaign asks hypothesis for more.

    The day's examples come from Python's own generator, seeded by the test's name: hypothesis, derandomised, draws
    constants of the modules that happen to be imported, so that its examples are others in every selection of tests.
    """

    def decorate(test: Callable[..., None]) -> Callable[[], None]:
        def example(rng: Random) -> None:
            values = {name: draw(rng) for name, draw in drawn.items()}
            try:
                test(**values)
            except Exception as error:
                error.add_note(f"{test.__name__}({', '.join(f'{k}={v!r}' for k, v in values.items())})")
                raise

        def every_day() -> None:
            for number in range(examples):
                example(Random(f"{test.__name__} {number}"))

        run = _campaign(example) if CAMPAIGN else every_day
        run.__name__, run.__module__, run.__doc__ = test.__name__, test.__module__, test.__doc__
        return run

    return decorate


def _campaign(example: Callable[[Random], None]) -> Callable[[], None]:
    found: Callable[[], None] = settings(
        max_examples=CAMPAIGN,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.target, Phase.shrink],
    )(given(rng=st.randoms(use_true_random=False))(example))
    return found


def one_of(values: Sequence[Any]) -> Draw:
    """One of some values."""
    return lambda rng: rng.choice(values)


def fraction(rng: Random) -> float:
    """From 0 to below 1."""
    return rng.random()


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of an op, and the gradient that comes back to it."""

    op: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    layout: str = "nchw"
    values: str = "normal"
    parameters: str = "normal"
    parameter_layout: str = "nchw"
    low_parameters: bool = False
    noise: str = "own"
    cotangent: str = "normal"
    cotangent_layout: str = "nchw"
    kwargs: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    def build(self, device: torch.device = DEVICE, layout: str | None = None) -> list[Tensor | None]:
        """The op's arguments, each a leaf that wants a gradient."""
        rng = torch.Generator().manual_seed(self.seed)
        layout = layout or self.layout
        parameter = self.dtype if self.low_parameters else accumulation_dtype(self.dtype)

        def image(shape: tuple[int, ...], layout: str) -> Tensor:
            return leaf(make(self.values, shape, self.dtype, rng), layout, self.dtype, device)

        def small(*shape: int) -> Tensor:
            values = make(self.parameters, shape, parameter, rng)
            return leaf(values, self.parameter_layout, parameter, device)

        n, c = (*self.shape, 1)[:2]
        x = image(self.shape, layout)
        match self.op:
            case "adain":
                return [x, small(n, c), small(n, c)]
            case "style_epilogue":
                noises = {"own": n, "shared": 1, "none": 0}[self.noise]
                where = {"flat planes": "flat planes", "gap": "gap"}.get(layout, "nchw")
                noise = None if self.noise == "none" else image((noises, 1, *self.shape[2:]), where)
                return [x, noise, small(c), small(c), small(n, c), small(n, c)]
            case "bias_act":
                return [x, small(c)]
            case "interpolate":
                return [x, image(self.shape, "nchw"), small(n)]
            case _:
                return [x]

    def build_cotangent(self, like: Tensor) -> Tensor:
        """A gradient for the op's output."""
        rng = torch.Generator().manual_seed(self.seed + 1)
        shape = tuple(like.shape)
        allowed = IMAGE_LAYOUTS if len(shape) == 4 else FLAT_LAYOUTS if shape else ["nchw"]
        layout = self.cotangent_layout if self.cotangent_layout in allowed else "nchw"
        values = make(self.cotangent, shape, like.dtype, rng)
        return leaf(values, layout, like.dtype, like.device)


# --- values -----------------------------------------------------------------------------------------------------


def make(kind: str, shape: tuple[int, ...], dtype: torch.dtype, rng: torch.Generator) -> Tensor:
    """Values of a kind, in float64 within the range of `dtype`; a plane is what the last two dimensions span."""
    normal = torch.randn(shape, generator=rng, dtype=torch.float64)
    one_a_plane = torch.randn((*shape[:-2], *[1] * len(shape[-2:])), generator=rng, dtype=torch.float64)
    largest, smallest = torch.finfo(dtype).max, torch.finfo(dtype).tiny
    match kind:
        case "normal":
            return normal
        case "small":  # a style or a bias
            return 0.5 * normal
        case "integers":  # sums that cancel exactly, and values on the kink of leaky ReLU
            return (2 * normal).round()
        case "large mean":
            return normal + 1e4 * one_a_plane.sign()
        case "constant":
            return one_a_plane.mul(10).expand(shape).clone()
        case "near constant":
            return one_a_plane + 1e-3 * normal
        case "outlier first":
            first = torch.zeros(shape[-2:], dtype=torch.float64)
            first.view(-1)[:1] = 3e3
            return normal + first
        case "wide":  # every plane has its own magnitude
            return normal * 10 ** (one_a_plane * math.log10(largest) / 16)
        case "zeros":
            return normal.sign() * 0.0
        case "minus one":  # as a style's scale: the plane's gain is 0
            return torch.full(shape, -1.0, dtype=torch.float64)
        case "huge":  # the square is still in range
            return normal * largest**0.4
        case "square overflows":
            return normal * largest**0.6
        case "vast":  # and sums, too
            return (normal / 8).clamp(-1, 1) * largest
        case "tiny":  # the square underflows
            return normal * smallest**0.7
        case "subnormal":
            return normal * smallest
    raise ValueError(kind)


def leaf(values: Tensor, layout: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`values` laid out in memory as `layout` says; whatever lies between them is NaN, so that reading it shows."""
    values = values.to(device, dtype)
    shape, nan = tuple(values.shape), torch.nan

    def room(*size: int) -> Tensor:
        return torch.full(size, nan, dtype=dtype, device=device)

    match layout:
        case "nchw":
            view = values.contiguous()
        case "nhwc":
            view = values.contiguous(memory_format=torch.channels_last)
        case "gap":
            view = room(*shape, 2)[..., 0]
        case "cropped":
            view = room(shape[0], shape[1] + 1, *shape[2:])[:, 1:]
        case "nhwc cropped":
            n, c, h, w = shape
            view = room(n, h, w, c + 2).permute(0, 3, 1, 2)[:, 1:-1]
        case "transposed":
            view = room(*shape[:2], shape[3], shape[2]).transpose(2, 3)
        case "offset":  # starts off the alignment that an allocation has
            view = room(math.prod(shape) + 1)[1:].view(shape)
        case "nhwc offset":
            n, c, h, w = shape
            view = room(n * c * h * w + 1)[1:].view(n, h, w, c).permute(0, 3, 1, 2)
        case "shared":  # one sample, or one value, seen many times: stride 0
            return values[:1].clone().expand(shape).detach().requires_grad_()
        case "flat planes":  # the gradient of a mean over pixels
            return values[..., :1, :1].clone().expand(shape).detach().requires_grad_()
    return view.copy_(values).detach().requires_grad_()


# --- draws ------------------------------------------------------------------------------------------------------


def shape_of(rng: Random, op: str, *, empty: bool, flat: bool) -> tuple[int, ...]:
    """A shape that the op takes; without `empty` nothing is 0, without `flat` it is [N, C, H, W]."""
    if flat and op in ("interpolate", "gradient_penalty") and rng.random() < 0.5:
        samples = rng.randrange(0 if empty else 1, 5)
        sides = [rng.choice([2, 3, 5, 1, 16, 17, 33]) for _ in range(rng.randrange(5))]
        # A norm of one value is its absolute value to torch, which then squares nothing that could underflow.
        return (samples, 2) if op == "gradient_penalty" and math.prod(sides) == 1 else (samples, *sides)
    n, c = rng.choice([1, 2, 3, 5, *[0] * empty]), rng.choice([*CHANNELS, *[0] * empty])
    if flat and op == "bias_act" and rng.random() < 0.2:
        return n, c
    h, w = rng.choice(LONG_PLANES) if rng.random() < 1 / 3 else (rng.choice(SIDES), rng.choice(SIDES))
    if op == "gradient_penalty" and c * h * w == 1:
        c = 2
    if op == "downsample2x":
        h, w = max(h, 2), max(w, 2)
    while n > 1 and n * c * h * w > MOST_VALUES:
        n -= 1
    while c > 1 and n * c * h * w > MOST_VALUES:
        c = (c + 1) // 2
    return n, c, h, w


def settings_of(rng: Random, op: str, taps: Sequence[tuple[float, ...]]) -> dict[str, Any]:
    """Keyword arguments that the op takes."""
    eps, slope = rng.choice([1e-5, 1e-8, 1e-3, 1.0]), rng.choice([0.2, 0.0, 1.0, 0.01, 1.5])
    match op:
        case "adain":
            return {"eps": eps}
        case "style_epilogue":
            return {"slope": slope, "eps": eps}
        case "bias_act":
            return {"slope": slope, "gain": rng.choice([1.0, 2**0.5, 0.5, 1e-3, 100.0])}
        case "upsample2x" | "downsample2x":
            return {"taps": rng.choice(taps)}
        case "gradient_penalty":
            return {"center": rng.choice([1.0, 0.0, 0.7])}
        case _:
            return {}


def calls(
    ops: Sequence[str] = tuple(sorted(OPS)),
    dtypes: Sequence[torch.dtype] = DTYPES,
    values: Sequence[str] = FINITE,
    layouts: Sequence[str] | None = None,
    taps: Sequence[tuple[float, ...]] = TAPS,
    *,
    empty: bool = True,
    flat: bool = True,
) -> Draw:
    """Any call of an op; what is given narrows it, and so do `empty` and `flat` where they are False: see `shape_of`.

    Planes whose sum overflows are not normalised: torch's own compositions give zeros there, or NaN, as ours do.
    """

    def draw(rng: Random) -> Call:
        op = rng.choice(ops)
        kinds = [kind for kind in values if op not in NORMALISING or kind != "vast"]
        shape = shape_of(rng, op, empty=empty, flat=flat)
        possible = layouts or (IMAGE_LAYOUTS if len(shape) == 4 else FLAT_LAYOUTS)
        return Call(
            op=op,
            dtype=rng.choice(dtypes),
            shape=shape,
            layout=rng.choice(possible),
            values=rng.choice(kinds),
            parameters=rng.choice(["small", "zeros", "integers", "minus one", "large mean"]),
            parameter_layout=rng.choice(PARAMETER_LAYOUTS),
            low_parameters=rng.random() < 0.2,
            noise=rng.choice(["own", "shared", "none"]) if shape[0] else "shared",
            cotangent=rng.choice(["normal", "integers", "constant", "huge", "tiny"]),
            cotangent_layout=rng.choice(IMAGE_LAYOUTS),
            kwargs=settings_of(rng, op, taps),
            seed=rng.randrange(1000),
        )

    return draw
