"""Standard output and standard error that no name can write commands to, and whose end ends no work.

While `guarded` is open, `sys.stdout` and `sys.stderr` escape what a terminal would obey or reorder (`text.printable`)
in everything that anybody prints. Where the reader is gone (`| head -1`, a terminal that was closed) or a stream was
closed from the start (`>&-`), what is printed is dropped and the command goes on with its work; output that is lost to
an error (a full disk) is remembered, so that the exit code can say so.
"""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from fastgan.text import printable

_GONE = (errno.EPIPE, errno.EIO)
"""The reader has left; EIO is what a terminal says that was hung up"""


class Stream:
    """A text stream as print, click and rich use it, around another one."""

    def __init__(self, stream: TextIO, *, escapes: bool = True) -> None:
        self._stream = stream
        self._escapes = escapes
        self._muted = False
        self.lost: OSError | None = None
        """The error that output was lost to, if any; a reader who leaves is none."""

    @property
    def unescaped(self) -> "Stream":
        """The same stream for what colours its output, and escapes names itself."""
        return _Unescaped(self)

    def write(self, text: str) -> int:
        """Print `text`; never raises for what the stream's other end does."""
        if not isinstance(text, str):
            raise TypeError(f"write() needs text, not {type(text).__name__}")
        self._attempt(printable(text) if self._escapes else text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Print each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._attempt("", flush=True)

    def isatty(self) -> bool:
        """Whether a person is looking."""
        try:
            return self._stream.isatty()
        except ValueError:  # closed
            return False

    def fileno(self) -> int:
        """The file descriptor; OSError where there is none."""
        return self._stream.fileno()

    def readable(self) -> bool:
        """It is not."""
        return False

    def writable(self) -> bool:
        """It is."""
        return True

    @property
    def encoding(self) -> str:
        """What the text is encoded as; ASCII is called UTF-8, or click would write past this stream."""
        name = self._stream.encoding or "utf-8"
        return "utf-8" if name.lower() in ("ascii", "us-ascii", "ansi_x3.4-1968", "646") else name

    @property
    def errors(self) -> str | None:
        """What becomes of characters that the encoding lacks."""
        return self._stream.errors

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._stream.closed

    def _attempt(self, text: str, *, flush: bool = False) -> None:
        if self._muted or self._stream.closed:
            return
        try:
            if text:
                self._stream.write(text)
            if flush:
                self._stream.flush()
        except UnicodeEncodeError:  # a stream that could not be told to escape
            safe = text.encode(self._stream.encoding or "ascii", "backslashreplace")
            self._attempt(safe.decode(self._stream.encoding or "ascii"), flush=flush)
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if error.errno not in _GONE:
            self.lost = error
        try:  # what is buffered still has to go somewhere, or Python complains at exit
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        except (OSError, ValueError):  # no file descriptor
            self._muted = True


class _Unescaped(Stream):
    def __init__(self, stream: Stream) -> None:
        super().__init__(stream._stream, escapes=False)
        self._outer = stream

    @property
    def encoding(self) -> str:
        """What the text is encoded as: rich draws its bars by it."""
        return self._stream.encoding or "utf-8"

    def _attempt(self, text: str, *, flush: bool = False) -> None:
        self._outer._attempt(text, flush=flush)


@contextmanager
def guarded() -> Iterator[Stream]:
    """Stand in for `sys.stdout` and `sys.stderr`, and for streams that are closed; yields standard output."""
    _occupy()
    before = sys.stdin, sys.stdout, sys.stderr
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  as long as the process
    out, err = Stream(_tolerant(sys.stdout)), Stream(_tolerant(sys.stderr))
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out
    finally:
        for stream in (out, err):
            stream.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _occupy() -> None:
    """Open the null device in place of standard streams that are closed.

    The next file that is opened would get their number otherwise, and all that libraries print would go into it.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one


def _tolerant(stream: TextIO | None) -> TextIO:
    """The stream, with an escape for each character that it cannot encode; one that is closed: the null device."""
    if stream is None or stream.closed:
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")
    return stream
