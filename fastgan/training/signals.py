"""Ctrl-C, SIGTERM and SIGHUP ask training to stop after the step at hand; a second one stops it at once.

A terminal that is closed may send SIGHUP twice, so that another SIGHUP stops nothing.

With several processes further ones are ignored: torchrun passes on to all what all have had from the terminal already,
and ends them by force when saving takes too long.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from fastgan.interrupts import ending

_STOPPING = b"\nfastgan: saving after this step (Ctrl-C again: stop at once, unsaved)\n"
_STOPPING_ALL = b"\nfastgan: all processes stop after this step and the first saves\n"


class Stop:
    """Which signal asked to stop, if any."""

    signum: int | None = None


@contextmanager
def graceful(rank: int = 0, size: int = 1) -> Iterator[Stop]:
    """Catch SIGINT, SIGTERM and SIGHUP once; the handlers from before come back with the first signal, and at the end.

    In one of `size` processes, every time, until the end.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers there alone
        yield stop
        return
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, *ending())}
    hangup = getattr(signal, "SIGHUP", None)

    def restore() -> None:
        for signum, handler in before.items():
            signal.signal(signum, handler)

    def restore_others() -> None:
        for signum, handler in before.items():
            if signum != hangup:
                signal.signal(signum, handler)

    def handle(signum: int, frame: FrameType | None) -> None:
        if rank == 0 and stop.signum is None:  # not print: the handler may have interrupted one
            with suppress(OSError):  # nobody may be looking any more
                os.write(2, _STOPPING if size == 1 else _STOPPING_ALL)
        stop.signum = stop.signum or signum
        if size == 1:
            restore_others()

    for signum in before:
        signal.signal(signum, handle)
    try:
        yield stop
    finally:
        restore()
