"""One case: copy the example, change a file, run the command, and say what became of it."""

import contextlib
import importlib
import os
import pickle
import shutil
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import mutate, oracles, results, sandbox, words
from tests.fuzz.case import FINE, Case, Outcome
from tests.fuzz.mutate import Mutation
from tests.fuzz.reader import Reader
from tests.fuzz.readers import READERS
from tests.fuzz.sandbox import Ended

_LOCKS = (".lock", ".fastgan.lock")


class Bench:
    """The examples and the outcomes without damage, under one folder."""

    def __init__(self, work: Path, shared: Path) -> None:
        self.work, self.shared = work, shared
        self._before: dict[tuple[str, int], dict[str, Any]] = {}

    def example(self, name: str) -> Path:
        """The example of a reader, made when it is first asked for."""
        reader, made = READERS[name], self.work / "examples" / name
        if not made.exists():
            temporary = made.with_name(f".{name}-{os.getpid()}")
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            for part in reader.shared:
                shutil.copytree(self.shared / part, temporary, dirs_exist_ok=True, symlinks=True)
            if reader.example is not None:
                reader.example(temporary)
            with contextlib.suppress(OSError):
                temporary.rename(made)
            shutil.rmtree(temporary, ignore_errors=True)
        return made

    def case(self, seed: int, name: str, number: int) -> Outcome:
        """Make, run and judge one case; what goes wrong in here is an outcome too."""
        box = self.work / f"box-{os.getpid()}"
        try:
            return self._case(seed, name, number, box)
        except Exception:
            return Outcome(reader=name, number=number, kind="", came="harness", why=traceback.format_exc())
        finally:
            clear(box)

    def _case(self, seed: int, name: str, number: int, box: Path) -> Outcome:
        reader, example = READERS[name], self.example(name)
        random = Random(f"{seed}/{name}/{number}")
        command = number % max(len(reader.commands), 1)
        before = self._baseline(name, command) if reader.commands else {"rows": None, "err": ""}
        lay(box, example)
        if reader.commands:
            files = [
                path
                for pattern in reader.files
                for path in sorted((box / "in").glob(pattern))
                if path.is_file()
            ]
            mutation = mutate.apply(random, box / "in", files)
            words_ = reader.commands[command]
        else:
            words_ = tuple(words.line(random))
            mutation = Mutation(kind="word", file="", text=f"{words_[-2]} {words_[-1][:40]!r}")
        arguments = [word.replace("{in}", str(box / "in")) for word in words_]
        ended, escapes, left = self._run(reader, arguments, box, nobody=mutation.kind == "unreadable")
        case = Case(
            name=name,
            reader=reader,
            arguments=arguments,
            mutation=mutation,
            box=box,
            ended=ended,
            before=before,
            example=example,
        )
        came, why = judge(case, escapes, left)
        shown = " ".join(["fastgan", *(word.replace(str(box / "in"), "IN") for word in arguments)])
        return Outcome(
            reader=name,
            number=number,
            kind=mutation.kind,
            came=came,
            why=why,
            file=mutation.file,
            text=mutation.text,
            command=shown[:400],
            code=ended.code,
            seconds=round(ended.seconds, 2),
            err="" if came in FINE and came != "refused" else _end(ended.err),
        )

    def _baseline(self, name: str, command: int) -> dict[str, Any]:
        """What the command gives with nothing changed."""
        key = (name, command)
        kept = self.work / "before" / f"{name}-{command}.pickle"
        if key not in self._before and kept.exists():
            self._before[key] = pickle.loads(kept.read_bytes())
            learn(self._before[key]["modules"])
        if key not in self._before:
            reader, box = READERS[name], self.work / f"box-{os.getpid()}"
            lay(box, self.example(name))
            arguments = [word.replace("{in}", str(box / "in")) for word in reader.commands[command]]
            ended, _, _ = self._run(reader, arguments, box, learn=True)
            found = results.gather(box) if ended.code == 0 else dict.fromkeys(results.KEYS)
            self._before[key] = {
                **found,
                "err": ended.err,
                "code": ended.code,
                "modules": ended.modules,
            }
            clear(box)
            kept.parent.mkdir(exist_ok=True)
            kept.write_bytes(pickle.dumps(self._before[key]))
            learn(ended.modules)
            if ended.code != 0:
                print(
                    f"note: {name}: with nothing changed {' '.join(reader.commands[command])} ends with {ended.code}"
                )
                print(_end(ended.err), flush=True)
        return self._before[key]

    def _run(
        self, reader: Reader, arguments: list[str], box: Path, *, nobody: bool = False, learn: bool = False
    ) -> tuple[Ended, list[str], list[str]]:
        """The command in its box; what it changed elsewhere; what it left behind."""
        user = sandbox.NOBODY if nobody and os.geteuid() == 0 else None
        if user is not None:
            for path in [box, *box.rglob("*")]:
                os.chown(path, user, user, follow_symlinks=False)
        before = sandbox.snapshot(box)
        environment = {
            "FASTGAN_CACHE": str(box / "in" / reader.cache if reader.cache else box / "cache"),
            "HOME": str(box / "home"),
            "TMPDIR": str(box / "tmp"),
            "XDG_CACHE_HOME": str(box / "home" / ".cache"),
        }
        ended = sandbox.run(
            arguments,
            box,
            cwd=box / "out",
            environment=environment,
            user=user,
            seconds=reader.seconds,
            setup=_quick if reader.study else None,
            learn=learn,
        )
        after = sandbox.snapshot(box)
        touched = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        allowed = reader.writes
        escapes = [
            *ended.escapes,
            *(f"changed {name}" for name in touched if not f"{name}/".startswith(("tmp/", *allowed))),
        ]
        left = [name for name in after if name not in before and _stray(name)]
        if ended.code not in (0, None) and "wrote" not in reader.leaves:
            left += [
                n
                for n in after
                if n.startswith("out/") and not n.startswith(tuple(f"out/{keep}" for keep in reader.leaves))
            ]
        return ended, escapes, list(dict.fromkeys(left))


def _stray(name: str) -> bool:
    """Whether a file has the name of one that should be gone; torch keeps a folder of its own."""
    base = name.rpartition("/")[2]
    return (
        base.startswith(".")
        and not (base in _LOCKS or base.endswith(".lock"))
        and not name.startswith("home/")
    )


def judge(case: Case, escapes: Sequence[str], left: Sequence[str]) -> tuple[str, str]:
    """(one of FINE or FAULTS, why)."""
    ended = case.ended
    if ended.hung:
        return "hang", f"no end after {ended.seconds:.0f} s"
    if ended.signal is not None:
        return "crash", f"signal {ended.signal}"
    if escapes:
        return "escape", "; ".join(escapes[:4])
    if ended.code == sandbox.TRACEBACK:
        return "traceback", _place(ended.err)
    if ended.memory > sandbox.RESIDENT:
        return "memory", f"{ended.memory / 2**30:.1f} GiB"
    if ended.code not in case.reader.codes:
        return "wrong result", f"exit code {ended.code}"
    if left:
        return "mess", ", ".join(left[:4])
    if raw := oracles.readable(ended.out + ended.err):
        return "wrong result", raw
    wrong = case.reader.oracle(case) if ended.code == 0 or case.reader.oracle in oracles.OF_REFUSALS else None
    if wrong:
        return "wrong result", wrong
    if ended.code == 2:
        bad = oracles.sentence(ended.err)
        return ("bad sentence", bad) if bad else ("refused", "")
    if case.before.get("code") not in (0, None):
        return "other", ""
    same = all(case.result()[key] == case.before.get(key) for key in results.KEYS)
    return ("same" if same else "other"), ""


def _place(err: str) -> str:
    """The exception, and the last line of ours on the way to it."""
    lines = [line for line in err.splitlines() if line.strip()]
    ours = [line.strip() for line in lines if "/fastgan/" in line and line.strip().startswith("File ")]
    where = ours[-1].split("/fastgan/")[-1].replace('", line ', ":").split(",")[0] if ours else "?"
    return f"{lines[-1][:200] if lines else ''} [{where}]"


def _end(err: str) -> str:
    return err[-3000:]


def learn(modules: Sequence[str]) -> None:
    """Import what a command needed, so that the next ones find it: half of the time of a case is importing."""
    for name in sorted(modules):
        if name not in sys.modules and not name.startswith("__"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def lay(box: Path, example: Path) -> None:
    """A new box with a copy of the example in it, and a few files outside of what may be touched."""
    clear(box)
    box.mkdir(parents=True)
    for name in ("out", "tmp", "home", "cache", "outside"):
        (box / name).mkdir()
    (box / "outside" / "x").write_bytes(b"not to be touched")
    (box / "outside" / "secret").write_bytes(bytes(range(256)) * 64)
    shutil.copytree(example, box / "in", symlinks=True)


def clear(box: Path) -> None:
    """Remove a box, whatever permissions a case left."""
    if not box.exists():
        return
    for folder, _, _ in os.walk(box):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(box, ignore_errors=True)


def _quick() -> None:
    """A study in seconds: one trial of its CNN, one recipe."""
    from fastgan.study import desk, recipes

    desk.TRIALS["cnn"] = desk.TRIALS["cnn"][:1]
    recipes.RECIPES = recipes.RECIPES[:1]
