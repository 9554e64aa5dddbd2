"""What this machine is: facts for `fastgan doctor` and for the header of every benchmark result.

Standard library only, so that it can be asked before torch is known to import.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fastgan.errors import MemoryLimitError

# What our kernels and torch's bf16 paths care about, by the names that Linux gives them in /proc/cpuinfo.
_ISA_FLAGS = (
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512bw",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_tile",
)
_NO_ROOM = (
    "can't allocate memory",
    "out of memory",
    "std::bad_alloc",
    "could not create a primitive",  # oneDNN
    'torch_call_dispatcher( "aten::empty',  # an op of ours: the stable interface to torch loses the reason
)
"""What torch says where it lacks memory and does not raise torch.OutOfMemoryError."""
_ARM_FLAGS = ("asimd", "sve", "bf16", "i8mm")


@dataclass(frozen=True, kw_only=True)
class Processor:
    """The CPU: its name, the cores this process may use, memory, the instruction sets that matter here."""

    name: str
    cores: int
    memory_gib: float | None
    isa: tuple[str, ...]

    @property
    def bf16(self) -> str | None:
        """The fastest bf16 matrix path of this CPU (`AMX`, `AVX512-BF16`, `ARM BF16`) or None."""
        if "amx_bf16" in self.isa:
            return "AMX"
        if "avx512_bf16" in self.isa:
            return "AVX512-BF16"
        return "ARM BF16" if "bf16" in self.isa else None


def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    lines = (line.partition(":") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return {key.strip(): value.strip() for key, _, value in reversed(list(lines))}  # the first core's


def _output(*command: str) -> str | None:
    """Standard output of a command, or None where it is missing or fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _memory_gib() -> float | None:
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= os.sysconf_names.keys():
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def peak_memory() -> int | None:
    """The most bytes that this process has had in memory; None where the system does not say.

    Not `getrusage`: what that counts begins with the parent's.
    """
    return _kilobytes(Path("/proc/self/status"), "VmHWM:")


def available_memory() -> int | None:
    """Bytes that this process may still take without swapping, its control group's limit and `ulimit -v` minded.

    None: unknown.
    """
    free = _within_limit(_kilobytes(Path("/proc/meminfo"), "MemAvailable:"))
    group = Path("/sys/fs/cgroup")  # inside a container: its own
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free
    left = max(int(limit) - int(used), 0) if limit.isdigit() else None
    return min((value for value in (free, left) if value is not None), default=None)


def _within_limit(free: int | None) -> int | None:
    """`free`, or what the address space's limit leaves of it."""
    try:
        import resource
    except ImportError:  # Windows
        return free
    limit, taken = resource.getrlimit(resource.RLIMIT_AS)[0], _kilobytes(Path("/proc/self/status"), "VmSize:")
    if limit == resource.RLIM_INFINITY or taken is None:
        return free
    left = max(limit - taken, 0)
    return left if free is None else min(free, left)


def require_memory(
    needed: float, what: str, mend: str | Callable[[int], str], free: int | None = None
) -> None:
    """Raise MemoryLimitError where `needed` bytes for `what` are not free; `mend` says what would fit.

    mend: a text, or a function of the bytes that are free. free: where that is not this machine's memory.
    """
    free = available_memory() if free is None else free
    if free is not None and needed > free:
        mending = mend if isinstance(mend, str) else mend(free)
        gib = min(needed, 10**30) / 2**30  # numbers of many digits are typed too
        sizes = f"about {gib:,.1f} GiB of memory, and {free / 2**30:.1f} GiB are free"
        raise MemoryLimitError(f"{what} would take {sizes}: {mending}")


def at_most(each: float) -> int:
    """How many things of `each` bytes fit into what is free; for the sentences of `require_memory`."""
    return int((available_memory() or 0) // each)


def lacks_memory(error: BaseException) -> bool:
    """Whether `error` is Python's, numpy's or torch's way of saying that an allocation failed."""
    if (
        isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    ):  # torch's, not imported here
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_ROOM)


def memory_asked(error: BaseException) -> str:
    """ ", where 3.7 GiB more were asked for and 1.2 GiB are free", as far as `error` and the system say so."""
    asked = re.search(r"allocate (\d{1,30}) bytes", str(error)) or re.search(
        r"allocate ([\d.]+) GiB", str(error)
    )
    if asked is None:
        return ""
    gib = float(asked[1]) / (2**30 if asked[0].endswith("bytes") else 1)
    free = None if type(error).__name__ == "OutOfMemoryError" else available_memory()  # that one is a GPU's
    return f", where {gib:.1f} GiB more were asked for" + (
        "" if free is None else f" and {free / 2**30:.1f} GiB are free"
    )


def _kilobytes(path: Path, name: str) -> int | None:
    """The number of a line like `MemAvailable:  1024 kB`, in bytes."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)


def usable_cores() -> int:
    """Cores that this process may use."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()) or 1


def threads_asked() -> int:
    """OMP_NUM_THREADS, by which several processes share a machine. 0 where it says nothing."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else 0


def processor() -> Processor:
    """Describe the CPU; on systems without /proc/cpuinfo the instruction sets stay unknown (empty)."""
    info = _cpuinfo()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    name = info.get("model name") or _output("sysctl", "-n", "machdep.cpu.brand_string")
    family = f" (family {info['cpu family']}, model {info['model']})" if "cpu family" in info else ""
    return Processor(
        name=(name or platform.processor() or platform.machine()) + family,
        cores=usable_cores(),
        memory_gib=_memory_gib(),
        isa=tuple(flag for flag in _ISA_FLAGS + _ARM_FLAGS if flag in flags),
    )


def compiler() -> tuple[str, str] | None:
    """(path, version line) of the C++ compiler that a build here would take, or None."""
    for name in filter(None, (os.environ.get("CXX"), "c++", "g++", "clang++", "cl")):
        path = shutil.which(name.split()[0])
        if path:
            version = _output(path, "--version") or "version unknown"
            return path, version.splitlines()[0]
    return None


def git_commit() -> str | None:
    """The commit of the source tree this package runs from (`-dirty` if edited), None if installed."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    return _output("git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
