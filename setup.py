"""Builds the torch extension, nothing else; everything that is metadata stands in pyproject.toml.

`fastgan/_C`       every csrc/*.cpp, and every csrc/cpu/*.cpp once for each instruction set, on the stable ABI of
                   torch >= 2.10: one build serves every later torch, CPU or CUDA.
`fastgan/_C_cuda`  every csrc/cuda/*.cu, apart, so that a CPU build of torch never loads it.

Environment:
  FASTGAN_CUDA=auto|1|0         build the CUDA kernels: auto does where nvcc and a CUDA build of torch are found
  FASTGAN_CUDA_ARCHS="80 90"    compute capabilities to compile for; PTX of the last is kept for newer GPUs
  FASTGAN_REQUIRE_NATIVE=1      fail where no C++ compiler is found, instead of installing reference ops only
"""

import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup

ROOT = Path(__file__).parent.resolve()
STABLE_ABI = "0x020a000000000000ULL"  # torch 2.10
INSTRUCTION_SETS = {  # name: (the compiler's target, vector bytes)
    "base": (None, 16),
    "avx2": ("arch=x86-64-v3", 32),
    "avx512": ("arch=x86-64-v4,prefer-vector-width=512", 64),
    "avx512bf16": ("arch=x86-64-v4,avx512bf16,prefer-vector-width=512", 64),
}
IS_X86 = platform.machine() in ("x86_64", "AMD64")


def cxx() -> str | None:
    """Path of the C++ compiler, if there is one that knows GCC's vector types."""
    if sys.platform == "win32":
        return None
    names = [os.environ["CXX"]] if "CXX" in os.environ else ["c++", "g++", "clang++"]
    return next((path for path in map(shutil.which, names) if path), None)


def units_per_instruction_set() -> list[str]:
    """Write a unit for each CPU kernel file and instruction set; return their paths relative to the root."""
    folder = ROOT / "build" / "isa"
    folder.mkdir(parents=True, exist_ok=True)
    units = []
    for kernel in sorted((ROOT / "csrc" / "cpu").glob("*.cpp")):
        for level, (isa, (target, vector_bytes)) in enumerate(INSTRUCTION_SETS.items()):
            if target and not IS_X86:
                continue
            lines = [
                "// Standard headers first: nothing of theirs may be compiled for this target.",
                "#include <cstdint>",
                "#include <utility>",
                *(["#include <immintrin.h>"] if IS_X86 else []),
                f"#define FASTGAN_ISA {isa}",
                f"#define FASTGAN_ISA_LEVEL {level}",
                f"#define FASTGAN_VECTOR_BYTES {vector_bytes}",
            ]
            clang_target = target and target.removesuffix(",prefer-vector-width=512")
            if target:
                lines += [
                    "#ifdef __clang__",
                    f'#pragma clang attribute push(__attribute__((target("{clang_target}"))), apply_to = function)',
                    "#else",
                    "#pragma GCC target(" + ", ".join(f'"{part}"' for part in target.split(",")) + ")",
                    "#endif",
                ]
            lines += [f'#include "cpu/{kernel.name}"']
            if target:
                lines += ["#ifdef __clang__", "#pragma clang attribute pop", "#endif"]
            unit = folder / f"{kernel.stem}.{isa}.cpp"
            text = "\n".join(lines) + "\n"
            if not unit.exists() or unit.read_text() != text:
                unit.write_text(text)
            units.append(str(unit.relative_to(ROOT)))
    return units


def cpu_extension() -> Extension:
    """Describe fastgan._C."""
    import pybind11
    import torch

    torch_folder = Path(torch.__file__).parent
    return Extension(
        "fastgan._C",
        sources=[
            *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "csrc").glob("*.cpp")),
            *units_per_instruction_set(),
        ],
        depends=[str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*.[hc]*")],
        include_dirs=[
            str(ROOT / "csrc"),
            pybind11.get_include(),  # before torch's copy, which torch 2.11 forbids on the stable ABI
            str(torch_folder / "include"),
            str(torch_folder / "include" / "torch" / "csrc" / "api" / "include"),
        ],
        libraries=["torch_cpu"],
        library_dirs=[str(torch_folder / "lib")],
        extra_compile_args=[
            *(
                "-std=c++17",
                "-O3",
                "-fvisibility=hidden",
                "-fno-math-errno",
                "-fno-trapping-math",
                "-ffp-contract=fast",
                "-g0",  # Python's own flags ask for debug information, which is nine tenths of the library
            ),
            f"-DTORCH_TARGET_VERSION={STABLE_ABI}",
            f'-DFASTGAN_BUILT_WITH_TORCH="{torch.__version__}"',
            *(["-DFASTGAN_X86"] if IS_X86 else []),
        ],
        extra_link_args=["-Wl,-s"] if sys.platform == "linux" else [],
        language="c++",
    )


def nvcc() -> str | None:
    """Path of nvcc, where the CUDA kernels are to be built."""
    choice = os.environ.get("FASTGAN_CUDA", "auto")
    if choice == "0":
        return None
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    found = next(
        (p for p in (shutil.which("nvcc", path=f"{h}/bin") for h in homes if h) if p), shutil.which("nvcc")
    )
    found = found or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if choice == "1":
        if not found:
            raise SystemExit(
                "fastgan: FASTGAN_CUDA=1, but nvcc is not found: set CUDA_HOME or put nvcc on PATH."
            )
        return found
    import torch

    if torch.version.cuda and not found:
        print(
            "fastgan: this torch is a CUDA build but nvcc is not found: NO CUDA KERNELS are built.",
            file=sys.stderr,
        )
    return found if torch.version.cuda else None


def build_cuda(compiler: str, output: Path, temporary: Path) -> None:
    """Compile every .cu file against the stable ABI and link them into `output`."""
    import torch

    torch_folder = Path(torch.__file__).parent
    temporary.mkdir(parents=True, exist_ok=True)
    archs = os.environ.get("FASTGAN_CUDA_ARCHS", "80 90").split()
    flags = [
        *("-std=c++17", "-O3", "-Xcompiler", "-fPIC", "-DUSE_CUDA", f"-DTORCH_TARGET_VERSION={STABLE_ABI}"),
        *(f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in archs),
        f"-gencode=arch=compute_{archs[-1]},code=compute_{archs[-1]}",
        f"-I{ROOT / 'csrc'}",
        f"-I{torch_folder / 'include'}",
        f"-I{torch_folder / 'include' / 'torch' / 'csrc' / 'api' / 'include'}",
    ]

    def compile_one(source: Path) -> Path:
        target = temporary / f"{source.stem}.o"
        subprocess.run([compiler, *flags, "-c", str(source), "-o", str(target)], check=True)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sorted((ROOT / "csrc" / "cuda").glob("*.cu"))))
    libraries = [torch_folder / "lib"]
    if not (libraries[0] / "libtorch_cuda.so").exists():
        # A CPU torch has no such library. A stub of its name, with the one symbol that we take from it, makes the
        # loader ask for the real one.
        libraries.append(temporary / "stub")
        libraries[-1].mkdir(exist_ok=True)
        source, stub = libraries[-1] / "stub.cpp", libraries[-1] / "libtorch_cuda.so"
        source.write_text('extern "C" int aoti_torch_get_current_cuda_stream(int, void**) { return 1; }\n')
        flags = ["-shared", "-fPIC", "-Wl,-soname,libtorch_cuda.so"]
        subprocess.run([cxx() or "c++", *flags, str(source), "-o", str(stub)], check=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    link = [
        compiler,
        "-shared",
        "-cudart=static",
        *map(str, objects),
        *(f"-L{folder}" for folder in libraries),
    ]
    subprocess.run([*link, "-ltorch_cuda", "-ltorch_cpu", "-o", str(output)], check=True)


def extension_build() -> dict[str, object]:
    """What setup() needs to build the extension here; nothing where there is no compiler."""
    if cxx() is None:
        message = "no C++ compiler was found: fastgan will run on its SLOW REFERENCE OPS (install g++ and reinstall)."
        if os.environ.get("FASTGAN_REQUIRE_NATIVE") == "1":
            raise SystemExit(f"fastgan: {message}")
        print(f"{'=' * 80}\nfastgan: {message}\n{'=' * 80}", file=sys.stderr)
        return {}
    os.environ.setdefault("CXX", str(cxx()))
    from torch.utils.cpp_extension import BuildExtension

    class Build(BuildExtension):
        def build_extensions(self) -> None:
            super().build_extensions()
            compiler = nvcc()
            if compiler:
                beside_sources = self.inplace or getattr(self, "editable_mode", False)  # pip install -e
                folder = (
                    ROOT / "fastgan" if beside_sources else Path(self.get_ext_fullpath("fastgan._C")).parent
                )
                build_cuda(compiler, folder / "_C_cuda.so", Path(self.build_temp) / "cuda")

    return {"ext_modules": [cpu_extension()], "cmdclass": {"build_ext": Build}}


if len(sys.argv) > 1 and sys.argv[1] == "compile_cuda":  # `make cuda-compile`: needs nvcc, no GPU, any torch
    os.environ["FASTGAN_CUDA"] = "1"
    build_cuda(str(nvcc()), ROOT / "build" / "cuda" / "_C_cuda.so", ROOT / "build" / "cuda")
else:
    setup(**extension_build())
