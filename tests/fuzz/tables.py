"""Mutations of TOML, CSV and short texts by their structure."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.fuzz.documents import STRANGE, json_text

_TOML = (
    "5",
    "-1",
    "0",
    "1e400",
    "nan",
    "inf",
    "true",
    '""',
    '"text"',
    "[]",
    "[[[[]]]]",
    "{}",
    "{a = {b = 5}}",
    "9" * 5000,
    "1979-05-27T07:32:00Z",
    '"\\u001b[31m\\u202e"',
    '"../../outside/x"',
    "[" * 3000 + "]" * 3000,
    "1_000_000_000_000",
    "99999999",
    '[1, "a"]',
    "0x7fffffffffffffff",
    '"1e9img"',
    "1e308",
    "-0.0",
    '"nan"',
    '"none"',
    "0.5",
    "[5]",
    '"' + "x" * 50_000 + '"',
)


def toml_line(random: Random, path: Path, others: Sequence[Path]) -> str:
    lines = path.read_text("utf-8", "replace").splitlines()
    settings = [i for i, line in enumerate(lines) if "=" in line]
    if not settings:
        return json_text(random, path, others)
    at = random.choice(settings)
    key = lines[at].partition("=")[0].strip()
    kind = random.random()
    if kind < 0.75:
        value = random.choice(_TOML)
        lines[at], said = f"{key} = {value}", f"{key} became {value[:40]}"
    elif kind < 0.82:
        lines[at:at], said = [lines[at]], f"{key} twice"
    elif kind < 0.88:
        del lines[at]
        said = f"{key} was taken out"
    else:
        line = random.choice(
            (
                '"\\u202e\\u001b" = 5',
                "[[model]]",
                "[train.batch]",
                "[data]",
                "= 5",
                "a.b.c.d = 1",
                "\x00",
                f"{key}.x = 5",
            )
        )
        lines[at:at], said = [line], f"{line!r} before {key}"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return said


_CELLS = (
    "",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "x",
    "9" * 5000,
    "1" * 400,
    '"',
    "a,b",
    "../../outside/x.png",
    "/etc/passwd",
    STRANGE,
    "0x10",
    "\u0661",
    "1_000",
    "-1",
    "0.0",
    "null",
    "y" * 200_000,
    "=cmd()",
    "é",
    " ",
    "./",
    "\\",
    "1e39",
)


def csv_cell(random: Random, path: Path, others: Sequence[Path]) -> str:
    """A cell, line or separator of a table."""
    text = path.read_text("utf-8", "replace")
    mark = "," if "," in text else " "
    rows = [line.split(mark) for line in text.splitlines()]
    at = random.randrange(len(rows)) if rows else 0
    kind = random.random()
    if not rows or kind < 0.05:
        path.write_bytes(text.encode("utf-16"))
        return "UTF-16"
    column = random.randrange(len(rows[at]))
    if kind < 0.6:
        rows[at][column] = random.choice(_CELLS)
        said = f"cell {column + 1} became {rows[at][column][:30]!r}"
    elif kind < 0.7:
        rows[at:at], said = [rows[at]], "twice"
    elif kind < 0.8:
        del rows[at]
        said = "taken out"
    elif kind < 0.9:
        rows[at], said = rows[at] + ["1"], "a cell more"
    else:
        rows[at], said = rows[at][:-1], "a cell fewer"
    end = random.choice(("\n", "\n", "\r\n", "\r"))
    path.write_bytes(end.join(mark.join(row) for row in rows).encode("utf-8", "surrogatepass") + end.encode())
    return f"line {at + 1}: {said}"


def plain_text(random: Random, path: Path, others: Sequence[Path]) -> str:
    """A short text: a pointer, a label."""
    text = random.choice(
        (
            "",
            "\n",
            "..",
            "/",
            "/etc",
            "checkpoints",
            "checkpoints/../../..",
            "checkpoints/999999999",
            "x" * 5000,
            STRANGE,
            "a\0b",
            "checkpoints/000000048\n\n",
            "../../outside",
            "C:\\x",
            "5",
            "-1",
            "null",
            "cat\ndog",
            "\ud800",
        )
    )
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return f"became {text[:30]!r}"
