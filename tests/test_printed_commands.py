"""Commands that messages print can be copied into a shell, whatever the paths and names in them."""

import ast
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from fastgan.commands import data, train
from fastgan.config import Duration
from fastgan.data import pack
from fastgan.errors import FastganError
from fastgan.naming import command_line
from fastgan.text import quoted
from fastgan.training import folder
from tests.data.images import fill

PACKAGE = Path(__file__).resolve().parents[1] / "fastgan"
_COMMAND = re.compile(
    r"\bfastgan (?:train|generate|eval|export|bench|augment|data|report|info|doctor)\b(?:(?! for | is )[^\n,;:()<·])*"
)
_AFTER_OPTION = re.compile(r"(?<![\w.])--[a-z][a-z-]* $")
_PLAIN = re.compile(
    r"quoted\(.*\)|longer|resolution|precision"
    r"|max\(8, nearest_power\(size\)\)|request\.(fit|split)"
)
"""Values that need no quotes: numbers, words from a list, and what is quoted"""


def interpolated(node: ast.JoinedStr) -> tuple[str, list[str]]:
    """The text with a NUL for each value, and the values' source."""
    text, values = "", []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            values.append(ast.unparse(part.value))
            text += "\0"
        elif isinstance(part, ast.Constant):
            text += str(part.value)
    return text, values


def unquoted(path: Path) -> list[str]:
    """Values in a file's printed commands that would not survive a shell."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        text, values = interpolated(node)
        for command in _COMMAND.finditer(text):
            for offset in re.finditer("\0", command[0]):
                value = values[text[: command.start() + offset.start()].count("\0")]
                if not _PLAIN.fullmatch(value):
                    found.append(f"{path.name}:{node.lineno}: {value}")
        for index, value in enumerate(values):
            before = text.split("\0")[index]
            is_place = re.search(r"\b(run|source|file|folder|target|out)\b", value)
            if _AFTER_OPTION.search(before) and is_place and not _PLAIN.fullmatch(value):
                found.append(f"{path.name}:{node.lineno}: {value}")
    return found


def test_every_printed_command_quotes_what_it_names(tmp_path):
    found = [line for file in sorted(PACKAGE.rglob("*.py")) for line in unquoted(file)]
    assert not found, "use fastgan.text.quoted for: " + ", ".join(found)
    bad = tmp_path / "bad.py"
    bad.write_text('a = f"go on with fastgan train --resume {run}"\nb = f"or --init-from {run / 1}"\n')
    assert len(unquoted(bad)) == 3


def test_what_train_prints_at_its_end_names_the_run(tmp_path):
    run = tmp_path / "my run; $HOME"
    (run / "grids").mkdir(parents=True)
    (run / "grids" / "000000016.png").write_bytes(b"")
    settings = SimpleNamespace(usual_kimg=None, budget=Duration(seconds=60.0))
    for signum in (None, 15):
        outcome = SimpleNamespace(cur_nimg=16, seconds=1.0, signum=signum, stopped=None)
        session = SimpleNamespace(run=run, best=None, saved=run / "x", config=SimpleNamespace(train=settings))
        text = train._ending(session, outcome)
        commands = [shlex.split(line) for line in text.splitlines() if line.startswith("  fastgan ")]
        assert commands
        for words in commands:
            assert str(run) in words


def test_a_folder_that_is_taken_is_named_for_a_shell(tmp_path):
    run = tmp_path / "my run"
    run.mkdir()
    (run / "config.toml").write_text("")
    with command_line(), pytest.raises(FastganError) as error:
        folder.create(run)
    assert f"fastgan train --resume {quoted(run)}, or" in str(error.value)


def test_the_printed_line_packs_a_folder_with_a_space_in_its_name(tmp_path):
    fill(tmp_path / "my photos", 2)
    result = CliRunner().invoke(data.command, ["info", str(tmp_path / "my photos")])
    line = re.search(r"fastgan (data pack .*) -o FILE\.fgd", str(result.exception))
    assert line is not None
    assert shlex.split(line[1]) == ["data", "pack", str(tmp_path / "my photos")]
    assert len(pack(shlex.split(line[1])[2], tmp_path / "x.fgd")) == 2
