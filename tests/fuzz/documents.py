"""Mutations of JSON by its structure, of whole files and of lines. Each stays JSON, mostly."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

HUGE, DEEP, DIGITS, NAN, INF = "@huge@", "@deep@", "@digits@", "@nan@", "@inf@"
_RAW = {
    f'"{HUGE}"': "1e400",
    f'"{DEEP}"': "[" * 50_000 + "]" * 50_000,
    f'"{DIGITS}"': "9" * 5000,
    f'"{NAN}"': "NaN",
    f'"{INF}"': "-Infinity",
}
STRANGE = "a\x1b[31m\u202eb\u2028\x00\x7fc"
"""Colours, a reversed direction, a line separator, a zero byte"""
SCRIPT = "<script>fuzz()</script>\"'><img src=x onerror=fuzz()>"
VALUES: tuple[Any, ...] = (
    None,
    5,
    -1,
    0,
    1.5,
    10**30,
    10**400,
    True,
    "",
    "text",
    [],
    {},
    [1, [2, [3]]],
    {"a": {"b": None}},
    HUGE,
    DEEP,
    DIGITS,
    NAN,
    INF,
    STRANGE,
    SCRIPT,
    "../../outside/x",
    "/etc/passwd",
    "x" * 100_000,
    [None] * 2000,
    2**31,
    2**63,
    1e308,
    1e-320,
    "\ud800",
    ["a", 5, None],
    "0" * 64,
    -(2**63),
    4096,
    "none",
    "nan",
    "1,2",
    "é" * 300,
    "{}",
    "%s%n",
    "a/b",
)


def value_changed(random: Random, content: Any) -> tuple[Any, str]:
    """A JSON value with one value, name or item of it changed."""
    places = list(_places(content))
    if not places or random.random() < 0.04:
        value = random.choice(VALUES)
        return value, f"all of it became {_short(value)}"
    holder, key = random.choice(places)
    where = _short(key)
    kind = random.random()
    if kind < 0.62:
        value = random.choice(VALUES)
        holder[key] = value
        return content, f"{where} became {_short(value)}"
    if kind < 0.72:
        old = holder[key]
        holder[key] = [old] if random.random() < 0.5 else {"value": old}
        return content, f"{where} was wrapped"
    if kind < 0.84:
        del holder[key]
        return content, f"{where} was taken out"
    if kind < 0.92 and isinstance(holder, dict):
        new = random.choice((STRANGE, "", "__class__", "format", f"{key}2", SCRIPT))
        holder[new] = holder.pop(key)
        return content, f"{where} was renamed to {_short(new)}"
    old = holder[key]
    if isinstance(old, bool) or not isinstance(old, int | float):
        if isinstance(old, str):
            holder[key] = old + random.choice(("x", " ", "\n", STRANGE))
            return content, f"{where} became longer"
        holder[key] = str(old)
        return content, f"{where} became text"
    holder[key] = random.choice((-old, old * 1000, old + 1, old / 3, float(old), str(old), old * 10**12))
    return content, f"{where} went from {_short(old)} to {_short(holder[key])}"


def text_of(content: Any, indent: int | None = None) -> str:
    """JSON, with the numbers and depths that Python itself would not write."""
    text = json.dumps(content, indent=indent)
    for mark, raw in _RAW.items():
        text = text.replace(mark, raw)
    return text


def _places(content: Any) -> Any:
    """(holder, key) of each value inside; long lists by their ends."""
    if isinstance(content, dict):
        keys: Sequence[Any] = list(content)
    elif isinstance(content, list):
        keys = range(len(content)) if len(content) < 12 else (0, 1, len(content) // 2, len(content) - 1)
    else:
        return
    for key in keys:
        yield content, key
        yield from _places(content[key])


def json_value(random: Random, path: Path, others: Sequence[Path]) -> str:
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return json_text(random, path, others)
    content, said = value_changed(random, content)
    path.write_text(text_of(content, 2 if random.random() < 0.5 else None), "utf-8", "surrogatepass")
    return said


def json_text(random: Random, path: Path, others: Sequence[Path]) -> str:
    """What a person's editor does to JSON."""
    text = path.read_text("utf-8", "replace")
    names = re.findall(r'"[^"\n]{1,40}"\s*:', text)
    edits = {
        "a comma at the end": lambda: text.rstrip()[:-1] + ",}" if text else ",",
        "UTF-16": lambda: None,
        "a comment": lambda: "// made by hand\n" + text,
        "a name twice": lambda: (
            text.replace(names[0], f"{names[0]} [5], {names[0]}", 1) if names else text * 2
        ),
        "two documents": lambda: text + text,
        "single quotes": lambda: text.replace('"', "'"),
        "a byte order mark": lambda: "\ufeff" + text,
        "Latin-1": lambda: None,
    }
    said = random.choice(list(edits))
    if said == "UTF-16":
        path.write_bytes(text.encode("utf-16"))
    elif said == "Latin-1":
        path.write_bytes(text.replace("a", "\xe4", 1).encode("latin-1", "replace"))
    else:
        path.write_text(edits[said](), "utf-8")
    return said


def json_line(random: Random, path: Path, others: Sequence[Path]) -> str:
    """One line of JSON lines."""
    lines = path.read_text("utf-8", "replace").splitlines()
    if not lines:
        path.write_text("{}\n[]\nnull\n")
        return "lines without names"
    at = random.randrange(len(lines))
    kind = random.random()
    if kind < 0.7:
        try:
            content, said = value_changed(random, json.loads(lines[at]))
        except ValueError:
            content, said = None, "null"
        lines[at] = text_of(content)
    elif kind < 0.8:
        lines[at], said = lines[at][: len(lines[at]) // 2], "cut in its middle"
    elif kind < 0.9:
        lines[at:at], said = [lines[at]], "twice"
    else:
        lines[at:at], said = (
            [random.choice(("null", "[]", "5", "{", "\x00", "x" * 70_000, "[" * 100_000))],
            "a strange line before",
        )
    path.write_bytes(
        ("\n".join(lines) + ("\n" if random.random() < 0.8 else "")).encode("utf-8", "surrogatepass")
    )
    return f"line {at + 1}: {said}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 50 else text[:47] + "..."
