"""What the kernels are meant to reach, and how far the measured rows are from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastgan.benchmark.questions import ACTIVATIONS
from fastgan.benchmark.report import Table

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A bound on one number of every row it is about; `value` is None for rows that do not have that number."""

    says: str
    ops: Sequence[str]
    value: Callable[[Row], float | None]
    at_least: float | None = None
    at_most: float | None = None

    def reached(self, value: float) -> bool:
        """Whether one row's number is good enough."""
        low, high = self.at_least, self.at_most
        return (low is None or value >= low) and (high is None or value <= high)


def _speedup(over: str) -> Callable[[Row], float | None]:
    def value(row: Row) -> float | None:
        spread = row["speedup"].get(over)
        return spread["median"] if spread else None

    return value


def _over_floor(row: Row) -> float:
    return float(row["over_floor"]["median"])


def _bandwidth(row: Row) -> float:
    """Per cent of the copy's bandwidth, in the bytes that must move."""
    return 100 / _over_floor(row)


IN_LAYERS = ("style_epilogue", "adain", "bias_act", "upsample2x", "downsample2x")
RESAMPLING = ("upsample2x", "downsample2x")


def _against(ops: Sequence[str], eager: float, compiled: float) -> list[Target]:
    """The three ratios of some ops; "usual" is the composition that the target names, "best" the fastest known."""
    named = ", ".join(f"`{op}`" for op in ops)
    return [
        Target(says=f"{named}: {eager:g}x the usual eager", ops=ops, value=_speedup("usual"), at_least=eager),
        Target(
            says=f"{named}: {eager:g}x the best eager found", ops=ops, value=_speedup("eager"), at_least=eager
        ),
        Target(
            says=f"{named}: {compiled:g}x torch.compile",
            ops=ops,
            value=_speedup("compile"),
            at_least=compiled,
        ),
    ]


CPU = [
    *_against(["style_epilogue"], 6, 2),
    *_against(["adain"], 4, 1.3),
    *_against(RESAMPLING, 6, 4),
    Target(says="every op: at most 2x the copy floor", ops=IN_LAYERS, value=_over_floor, at_most=2),
    Target(
        says="every op: not slower than torch.compile", ops=IN_LAYERS, value=_speedup("compile"), at_least=1
    ),
]
GPU = [
    *_against(["style_epilogue"], 5, 1.3),
    Target(says="every op: 85% of the copy bandwidth", ops=IN_LAYERS, value=_bandwidth, at_least=85),
]


def _where(row: Row) -> str:
    pass_ = "fwd+bwd" if row["pass"] == "both" else "fwd"
    threads = f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"
    return f"`{row['op']}` {row['shape']} {row['dtype']} {row['layout']} {pass_}, {threads}"


def verdicts(rows: Sequence[Row], targets: Sequence[Target]) -> Table:
    """One line a target: whether it is met, in how many cases of how many, the range, and the worst case."""
    head = ["target", "verdict", "cases", "range", "worst case"]
    lines = []
    for target in targets:
        found = [(target.value(row), row) for row in rows if row["op"] in target.ops]
        known = sorted(((v, row) for v, row in found if v is not None), key=lambda pair: pair[0])
        if not known:
            lines.append([target.says, "not measured", "", "", ""])
            continue
        met = sum(target.reached(value) for value, _ in known)
        worst = known[0] if target.at_least is not None else known[-1]
        verdict = "met" if met == len(known) else "not met" if met == 0 else "in part"
        lines.append(
            [
                target.says,
                verdict,
                f"{met} of {len(known)}",
                f"{known[0][0]:.3g}-{known[-1][0]:.3g}",
                _where(worst[1]),
            ]
        )
    return head, lines


def _cells(rows: Sequence[Row], shapes: Sequence[tuple[int, ...]], value: Callable[[Row], Any]) -> str:
    """The medians of one number at each shape, in order; a dash where there is none."""
    at = {tuple(row["shape"]): value(row) for row in rows}
    return " ".join("-" if at.get(shape) is None else f"{at[shape]:.3g}" for shape in shapes)


def standing(
    rows: Sequence[Row], shapes: Sequence[tuple[int, ...]] = ACTIVATIONS, gpu: bool = False
) -> Table:
    """One line an op, dtype, layout and pass, with a number for each of `shapes` in every cell."""
    floor = "% of copy bandwidth" if gpu else "time / floor"
    head = ["op", "dtype", "layout", "pass", floor, "vs usual eager", "vs best eager", "vs compile"]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if tuple(row["shape"]) in shapes:
            groups.setdefault((row["op"], row["dtype"], row["layout"], row["pass"]), []).append(row)
    lines = []
    for (op, dtype, layout, pass_), members in groups.items():
        numbers = [
            _bandwidth if gpu else _over_floor,
            _speedup("usual"),
            _speedup("eager"),
            _speedup("compile"),
        ]
        line = [f"`{op}`", dtype, layout, "fwd+bwd" if pass_ == "both" else "fwd"]
        lines.append([*line, *(_cells(members, shapes, number) for number in numbers)])
    return head, lines
