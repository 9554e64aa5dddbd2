"""Text for people: what others wrote made safe to print (names of files, classes, settings), and times."""

import os
import re
import shlex
import unicodedata

_LINE_ENDS = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_SUSPECT = re.compile(r"[^\n\t\x20-\x7e]")
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that act instead of being seen: control, format (bidirectional), surrogate, line separators"""

_CODE = re.compile(r"^\d+ : [A-Z_]+ : ")  # 7 : INVALID_PROTOBUF :
_SOURCE = re.compile(
    r"(?:Exception during initialization: )?\S+\.(?:cc|cpp|h|hpp):\d+ "
    r"(?:(?:\w[\w:<>*&]* ){0,2}[\w:~]+\([^()]*\)|\S+) "
)
_LONGEST = 300


def shown(text: str | os.PathLike[str] | object) -> str:
    """`text` with each character that a terminal would obey or reorder, or could not encode, as its escape."""
    string = (
        text if isinstance(text, str) else os.fspath(text) if isinstance(text, os.PathLike) else str(text)
    )
    if string.isascii() and string.isprintable():
        return string
    return "".join(map(_visible, string))


def whole(text: str) -> int | None:
    """The number that `text` writes in 1 to 18 ASCII digits; None otherwise."""
    return int(text) if len(text) <= 18 and text.isascii() and text.isdigit() else None


def printable(text: str) -> str:
    """`text` of several lines as `shown` gives each; ends of lines and tabs stay as they are."""
    if text.isascii() and text.isprintable():
        return text
    return _SUSPECT.sub(lambda match: _visible(match[0]), text)


def quoted(path: str | os.PathLike[str]) -> str:
    """`path` as one word of a shell command, to be copied from a message into a terminal."""
    string = os.fspath(path)
    if shown(string) != string:
        return f"$'{_escaped_for_shell(string)}'"  # bash, zsh and ksh read this form
    return shlex.quote(string)


def reason(error: object) -> str:
    """What a library says of a failure, for the middle of a sentence of ours.

    Its first line, without the error codes and places in its source that some put before it, and cut to a length.
    """
    if isinstance(
        error, ArithmeticError | AttributeError | LookupError | TypeError
    ) or "invalid literal" in str(error):
        return "a value in it is none that is possible there"  # Python's words are about Python
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    text = _CODE.sub("", text.rpartition("[ONNXRuntimeError] : ")[2])
    text = _SOURCE.sub("", text).strip().rstrip(".")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def clock(seconds: float | None) -> str:
    """A time that is counted: `1:02:03`, `4:05`; `?` where it is not known."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration(seconds: float) -> str:
    """About how long, in a sentence: `43 s`, `11 minutes`, `2.5 hours`."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.2g} hours" if seconds < 36000 else f"{seconds / 3600:.0f} hours"


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    return _LINE_ENDS.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _escaped_for_shell(string: str) -> str:
    return "".join(
        f"\\{c}" if c in "\\'" else c if _visible(c) == c else "".join(f"\\x{b:02x}" for b in os.fsencode(c))
        for c in string
    )
