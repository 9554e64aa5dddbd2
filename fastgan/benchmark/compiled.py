"""torch.compile as a contender: bounded in time, and recorded rather than fatal where it fails."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

LIMIT_S = 90.0


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A compiled function, or why there is none, and the seconds that this took (few when inductor had it cached)."""

    run: Callable[..., Any] | None
    error: str
    seconds: float


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after `seconds`, where signals can: on Unix, in the main thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"not compiled after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def compiled(
    function: Callable[..., Any], warm: Callable[[Callable[..., Any]], object], limit_s: float = LIMIT_S
) -> Compiled:
    """Compile `function` for the one case that `warm` calls it with.

    The number of threads is put into inductor's configuration, because its generated code and its cache depend
    on it.
    """
    began, error = time.monotonic(), ""
    torch._dynamo.reset()  # no guards of other rows, and no limit on recompilations reached
    run = torch.compile(
        function, dynamic=False, fullgraph=True, options={"cpp.threads": torch.get_num_threads()}
    )
    try:
        with _at_most(limit_s):
            warm(run)
    except Exception as failure:  # whatever inductor or its compiler says
        first = (str(failure).strip() or "no message").splitlines()[0]
        error = f"{type(failure).__name__}: {first[:200]}"
    return Compiled(run=None if error else run, error=error, seconds=round(time.monotonic() - began, 1))
