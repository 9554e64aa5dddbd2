"""When to stop early: conditions on what the log shows, as in `fid<20, r_t>0.95`. Standard library only."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastgan.config import require
from fastgan.naming import named

_SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ALWAYS = {
    "real",
    "fake",
    "r_t",
    "r_v",
    "augment_p",
    "penalty",
    "path_length",
    "reconstruction",
    "diversity",
    "duplicates",
}
_ALWAYS |= {"skipped", "cur_nimg", "seconds", "img_per_s"}


@dataclass(frozen=True)
class Condition:
    """One comparison of a value of the log with a number."""

    name: str
    sign: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.limit:g}"

    def met(self, values: Mapping[str, float]) -> bool:
        """Whether a line of the log meets it; a line without the value does not."""
        return any(bare(n) == self.name and _SIGNS[self.sign](v, self.limit) for n, v in values.items())


def bare(name: str) -> str:
    """The name of a metric without its protocol: `fid` of `fid[inception-v3-fid]`."""
    return name.partition("[")[0]


def parse(text: str, *, evaluates: bool) -> tuple[Condition, ...]:
    """The conditions of `train.stop_when`, any of which ends training; none for an empty text.

    evaluates: whether metrics are computed; without, a name that is no loss could never be met. ConfigError otherwise.
    """
    conditions = []
    for part in filter(str.strip, text.split(",")):
        match = re.fullmatch(rf"\s*([A-Za-z_][\w.-]*)\s*(<=|>=|<|>)\s*({_NUMBER})\s*", part)
        require(
            match is not None,
            f"train.stop_when: {part.strip()!r} is not a condition: write a name, < or >, and a number, as in "
            "fid<20 or r_t>0.95",
        )
        assert match is not None
        name = match[1]
        known = name in _ALWAYS or name.startswith("loss_")
        require(
            known or evaluates,
            f"train.stop_when: {name} is no value of the log, so it must be a metric, and none is computed: add "
            f"{named('eval_every', '50kimg')} (the log has loss_d, loss_g, {', '.join(sorted(_ALWAYS))})",
        )
        conditions.append(Condition(name, match[2], float(match[3])))
    return tuple(conditions)
