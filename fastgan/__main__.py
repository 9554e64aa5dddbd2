"""Entry point: run the command line; what the user can mend becomes one sentence and an exit code.

What is left with a traceback is a bug of ours. `FASTGAN_DEBUG=1` shows the traceback of everything.
"""

import errno
import os
import re
import sys
from collections.abc import Sequence

import click

from fastgan import environment, machine
from fastgan.cli import cli
from fastgan.commands._document import asked, show
from fastgan.errors import FastganError
from fastgan.interrupts import exit_code, raised
from fastgan.streams import guarded
from fastgan.text import shown

MISTAKE = 2  # docs/scripting.md has all exit codes
_LONGEST = 2000  # characters of a sentence: longer ones quote a damaged file
_FULL = (errno.ENOSPC, errno.EDQUOT)


def _from_os_error(error: OSError) -> str | None:
    name = os.fspath(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else None
    where = os.fsdecode(name) if name is not None else None
    if error.errno in _FULL:
        return f"the disk is full{f' at {where}' if where else ''}: free some space, or write elsewhere."
    if where is None or error.strerror is None:
        return None
    return f"{where}: {error.strerror[0].lower()}{error.strerror[1:]}."


def _sentence(error: BaseException) -> str | None:  # noqa: PLR0911  one kind of error a line
    """One sentence for what the user can mend, None for a bug of ours."""
    if isinstance(error, click.UsageError):
        help_for = error.ctx.command_path if error.ctx else "fastgan"
        said = error.format_message().replace("is not readable.", "cannot be read: permission denied.")
        return f"{said} (try '{help_for} --help')"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, FastganError):
        return str(error)
    if isinstance(error, OSError):
        return _from_os_error(error)
    if "No space left on device" in str(error):  # the Rust writers (safetensors) raise their own type
        return "the disk is full: free some space, or write elsewhere."
    if isinstance(error, ValueError) and str(error).startswith("embedded null"):
        return "a name on the command line has a zero byte in it, as no file's can: leave it out."
    if machine.lacks_memory(error):
        return (
            f"out of memory{machine.memory_asked(error)}: ask for fewer images at a time (a smaller batch), a lower "
            "resolution, or a narrower model."
        )
    return None


def _short(sentence: str) -> str:
    """`sentence` without the middle of what nobody reads: numbers of many digits, and texts out of damaged files."""
    short = re.sub(r"\d{60,}", lambda found: f"{found[0][:20]}... ({len(found[0])} digits)", sentence)
    return short if len(short) <= _LONGEST else f"{short[: _LONGEST - 500]} ... {short[-400:]}"


def _debugs() -> bool:
    return os.environ.get("FASTGAN_DEBUG") == "1"


def _follows() -> bool:
    """Whether torchrun has started another process that was given the same arguments, and says what is wrong."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run `fastgan ARGUMENTS` (sys.argv's by default) and return the exit code."""
    with guarded() as out, raised():
        code = _run(arguments)
        out.flush()
        if code == 0 and out.lost is not None:
            reason = out.lost.strerror or str(out.lost)
            print(
                f"fastgan: error: cannot write to standard output ({reason}): what it would say is lost, files that "
                "the command was to write are whole",
                file=sys.stderr,
            )
            return MISTAKE
        return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        environment.flag("FASTGAN_DEBUG", default=False)
        code = cli.main(args=arguments, prog_name="fastgan", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (click.Abort, KeyboardInterrupt) as error:  # click turns Ctrl-C into Abort
        if _debugs():
            raise
        _tell("fastgan: interrupted", "interrupted", arguments)
        return exit_code(error)
    except getattr(click.exceptions, "NoArgsIsHelpError", ()) as missing:  # click >= 8.2: a bare group's help
        print(missing.format_message())
        return 0
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            if asked(sys.argv[1:] if arguments is None else arguments):
                show({"error": f"{type(error).__name__}: {error}"})
            raise
        if _debugs():
            import traceback

            traceback.print_exc()
        if not (isinstance(error, click.UsageError) and _follows()):
            said = shown(_short(" ".join(sentence.split())))
            _tell(f"fastgan: error: {said}", said, arguments)
        return error.exit_code if isinstance(error, FastganError) else MISTAKE


def _tell(line: str, error: str, arguments: Sequence[str] | None) -> None:
    """Say what went wrong, on standard output too where that is to be JSON."""
    print(line, file=sys.stderr)
    if asked(sys.argv[1:] if arguments is None else arguments):
        show({"error": error})


def main() -> None:
    """Console-script entry point."""
    sys.exit(run())


if __name__ == "__main__":
    main()
