"""What `fastgan bench` is asked to measure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECTIONS = ("ops", "train", "inference")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure; an empty choice means everything.

    names, shapes, dtypes, layouts and passes narrow the ops, models narrow training and inference. `budget_s` is
    the time for one row; None takes the usual one (less with `quick`).
    """

    sections: Sequence[str] = SECTIONS
    device: str = "auto"
    threads: int = 1
    quick: bool = False
    compiled: bool = False
    names: Sequence[str] = ()
    shapes: Sequence[tuple[int, ...]] = ()
    dtypes: Sequence[str] = ()
    layouts: Sequence[str] = ()
    passes: Sequence[str] = ()
    models: Sequence[str] = ()
    sources: Sequence[Path] = ()
    """Inference: these models instead of ours."""
    batches: Sequence[int] = ()
    """Inference: these batch sizes instead of the usual ones."""
    cases: Sequence[str] = ()
    """Inference: only models whose name has one of these in it."""
    questions: Sequence[str] = ()
    """Inference: only these of `inference.QUESTIONS`."""
    formats: Sequence[str] = ()
    """Inference: only files of these formats."""
    baseline: str = "plain"
    """Training: the contender that the others are compared with."""
    budget_s: float | None = None
