"""Threads that hand work on through short queues, stop together, and know how busy they were."""

import queue
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")
_TURN = 0.0005  # seconds
_POLL = 0.1  # seconds after which a waiting thread looks whether all is over


class Stopped(Exception):  # noqa: N818  not an error: it ends a thread whose neighbour failed
    """Another stage failed, or the user interrupted: there is nothing left to do."""


class Stop:
    """What ends all stages: the first exception of any."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.reason: BaseException | None = None

    def because(self, reason: BaseException) -> None:
        """End all stages; later reasons are consequences of the first."""
        with self._lock:
            self.reason = self.reason or reason
        self._event.set()

    def check(self) -> None:
        """Raise Stopped once it is over."""
        if self._event.is_set():
            raise Stopped


class Channel(Generic[T]):
    """A queue of at most `size` items that nobody waits at once all is over."""

    def __init__(self, size: int, stop: Stop) -> None:
        self._queue: queue.Queue[T | None] = queue.Queue(size)
        self._stop = stop

    def put(self, item: T | None) -> None:
        """Wait for room; None says that nothing will follow."""
        while True:
            self._stop.check()
            try:
                return self._queue.put(item, timeout=_POLL)
            except queue.Full:
                continue

    def __iter__(self) -> Iterator[T]:
        """The items, waited for, until there are no more."""
        while True:
            self._stop.check()
            try:
                item = self._queue.get(timeout=_POLL)
            except queue.Empty:
                continue
            if item is None:
                return
            yield item


@contextmanager
def short_turns() -> Iterator[None]:
    """Let threads take Python's turn from each other after half a millisecond, not five.

    What runs a model asks for it hundreds of times a batch, and waits while images are encoded: a quarter more images a
    second on two cores.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Busy:
    """How long a stage worked, rather than waited for its neighbours."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._seconds = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count the time spent inside."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._seconds += time.perf_counter() - begun

    def share(self, seconds: float) -> float:
        """Of `seconds`, 0 to 1: 1 is a stage that the others wait for."""
        return min(1.0, self._seconds / (seconds * self.workers)) if seconds > 0 else 0.0
