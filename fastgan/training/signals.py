"""Ctrl-C and SIGTERM ask training to stop after the step at hand; a second one stops it at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPING = b"\nfastgan: saving after this step (Ctrl-C again: stop at once, unsaved)\n"


class Stop:
    """Which signal asked to stop, if any."""

    signum: int | None = None


@contextmanager
def graceful() -> Iterator[Stop]:
    """Catch SIGINT and SIGTERM once; the handlers from before come back with the first signal, and at the end."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers there alone
        yield stop
        return
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for signum, handler in before.items():
            signal.signal(signum, handler)

    def handle(signum: int, frame: FrameType | None) -> None:
        stop.signum = signum
        restore()
        os.write(2, _STOPPING)  # not print: the handler may have interrupted one

    for signum in before:
        signal.signal(signum, handle)
    try:
        yield stop
    finally:
        restore()
