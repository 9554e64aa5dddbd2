"""SIGTERM and SIGHUP end a command as Ctrl-C does: what is half-written is removed, what is whole is kept.

Training catches them itself (training/signals.py), to save first. The exit code is 128 + signal, as a shell reports it.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A signal asked to end: `signum`. text: what is left, and how to go on."""

    def __init__(self, signum: int, text: str = "") -> None:
        super().__init__(text or signum)
        self.signum = signum


def exit_code(error: BaseException | None) -> int:
    """128 + the signal that `error`, or what it was raised from, stands for; Ctrl-C where it does not say."""
    while error is not None:
        signum = getattr(error, "signum", None)
        if isinstance(signum, int):
            return 128 + signum
        error = error.__cause__ or error.__context__
    return 128 + signal.SIGINT


def ending() -> tuple[signal.Signals, ...]:
    """The signals beside Ctrl-C that ask a process to end here; SIGHUP only where `nohup` has not silenced it."""
    hangup = getattr(signal, "SIGHUP", None)
    silenced = hangup is None or signal.getsignal(hangup) == signal.SIG_IGN
    return (signal.SIGTERM,) if silenced else (signal.SIGTERM, hangup)  # type: ignore[return-value]


@contextmanager
def raised() -> Iterator[None]:
    """Raise `Interrupted` in the main thread for such a signal; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers there alone
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in ending()}
    owner = os.getpid()

    def handle(signum: int, frame: FrameType | None) -> None:
        for each in before:  # a terminal that is closed may send SIGHUP twice
            signal.signal(each, signal.SIG_DFL if each == signal.SIGTERM else signal.SIG_IGN)
        if os.getpid() != owner:  # a worker that was forked, and is told to end
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            return
        raise Interrupted(signum)

    for signum in before:
        signal.signal(signum, handle)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
