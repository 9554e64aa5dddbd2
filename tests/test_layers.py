"""Imports go one way (DESIGN.md, section 2), found by reading the source, imports inside functions included."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "fastgan"
FILES = sorted(PACKAGE.rglob("*.py"))
BASE = {
    "errors",
    "interrupts",
    "ownership",
    "brief",
    "naming",
    "arguments",
    "text",
    "environment",
    "files",
    "documents",
    "tensor_file",
    "tensors",
    "seal",
    "config",
    "machine",
    "device",
    "extras",
    "version",
    "console",
    "progress",
    "callbacks",
}
CORE = BASE | {"draws", "seeds", "ops", "nn", "models", "losses", "diffaug", "data"}
TRAINED = BASE | {"seeds", "ops", "nn", "models", "data", "training.checkpoint", "inference"}
EVERYTHING = (
    CORE
    | TRAINED
    | {"exporters", "fastest", "machine", "training", "metrics", "study", "allocator", "report", "pages"}
)

# Who may import whom: a name covers what is below it. Nothing may import commands, cli, tools or benchmarks.
MAY_IMPORT = {
    "errors": set(),
    "brief": set(),
    "naming": {"text"},
    "arguments": {"errors", "naming"},
    "ownership": set(),
    "interrupts": set(),
    "text": set(),
    "environment": {"errors", "text"},
    "device": {"errors", "naming", "text"},
    "streams": {"text"},
    "files": {"errors", "ownership", "naming", "text"},
    "documents": {"errors", "text", "files"},
    "tensor_file": {"errors", "environment", "files", "documents"},
    "tensors": {"errors", "machine", "tensor_file"},
    "seal": {"errors", "documents", "tensor_file"},
    "config": {"errors", "text", "files", "documents"},
    "machine": {"errors"},
    "extras": set(),
    "version": set(),
    "console": {"text"},
    "progress": {"console", "text"},
    "callbacks": set(),
    "allocator": set(),
    "onnx_probe": set(),
    "draws": set(),
    "seeds": {"arguments", "errors", "naming"},
    "doctor": {"machine", "extras", "ops", "onnx_probe"},
    "ops": {"errors", "environment"},
    "nn": {"errors", "ops"},
    "models": {"errors", "config", "draws", "ops", "nn"},
    "losses": {"errors", "draws", "ops"},
    "diffaug": {"errors", "draws", "ops"},
    "data": BASE,
    "metrics": BASE,
    "training": CORE,
    "inference": TRAINED,
    "exporters": TRAINED,
    "fastest": TRAINED | {"exporters"},
    "study": CORE | TRAINED | {"training", "metrics", "pages"},
    "pages": BASE,
    "report": BASE | {"pages"},
    "benchmark": EVERYTHING,
    "evaluation": CORE | TRAINED | {"metrics"},
    "api": EVERYTHING | {"benchmark", "evaluation"},
    "commands": EVERYTHING | {"benchmark", "evaluation", "api", "doctor"},
    "cli": {"errors", "naming", "commands"},
    "__main__": {
        "commands",
        "errors",
        "naming",
        "text",
        "streams",
        "interrupts",
        "environment",
        "machine",
        "cli",
    },
    # inside functions, when a name is first used
    "__init__": {
        "errors",
        "version",
        "seeds",
        "inference",
        "data",
        "allocator",
        "callbacks",
        "api",
    },
}
STDLIB_ONLY = (
    "errors",
    "interrupts",
    "streams",
    "ownership",
    "brief",
    "naming",
    "arguments",
    "text",
    "environment",
    "files",
    "documents",
    "config",
    "machine",
    "allocator",
    "extras",
)
LIGHT = (
    "__init__",
    "__main__",
    "cli",
    "commands",
    "version",
    "console",
    "progress",
    "callbacks",
    *STDLIB_ONLY,
)
"""Import no heavy module at the top"""
HEAVY = {"torch", "numpy", "onnx", "onnxruntime", "PIL", "rich", "safetensors", "scipy", "tensorboard"}


def module_of(path: Path) -> str:
    """fastgan/ops/adain.py -> ops.adain; a package's __init__ is the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def layer_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


MODULES = {module_of(path) for path in FILES}


def imports(tree: ast.AST, path: Path) -> Iterator[str]:
    """Absolute dotted names that a file imports, relative imports resolved."""
    package = ("fastgan", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def own(name: str) -> str | None:
    """The fastgan module (without the leading `fastgan.`) that an imported name lies in; None if not ours."""
    parts = name.split(".")
    if parts[0] != "fastgan":
        return None
    while len(parts) > 1 and ".".join(parts[1:]) not in MODULES:
        parts.pop()  # a function or class of the module above it
    return ".".join(parts[1:]) or "__init__"


def top_level(tree: ast.Module) -> ast.Module:
    """What runs when the module is imported: no function bodies, nothing under `if TYPE_CHECKING`."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        visit_AsyncFunctionDef = visit_FunctionDef

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    return Strip().visit(tree)


def covered(module: str, allowed: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_only_from_the_layers_below(path: Path) -> None:
    module = module_of(path)
    layer = layer_of(module)
    assert layer in MAY_IMPORT, f"{module} is in no layer: give it one in tests/test_layers.py and DESIGN.md"
    found = {own(name) for name in imports(ast.parse(path.read_text()), path)} - {None, "__init__"}
    wrong = {m for m in found if layer_of(m) != layer and not covered(m, MAY_IMPORT[layer])}
    assert not wrong, f"{module} may not import {sorted(wrong)}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_nothing_that_stands_beside_the_package(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(ast.parse(path.read_text()), path)}
    assert not roots & {"tools", "benchmarks", "tests", "setup"}


@pytest.mark.parametrize("layer", STDLIB_ONLY)
def test_the_lowest_layers_need_only_the_standard_library(layer: str) -> None:
    path = PACKAGE / f"{layer}.py"
    roots = {name.split(".")[0] for name in imports(ast.parse(path.read_text()), path)} - {"fastgan"}
    assert roots <= sys.stdlib_module_names


@pytest.mark.parametrize("path", [p for p in FILES if layer_of(module_of(p)) in LIGHT], ids=module_of)
def test_the_command_line_imports_only_click_and_light_modules_at_its_top(path: Path) -> None:
    names = set(imports(top_level(ast.parse(path.read_text())), path))
    foreign = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"fastgan", "click"}
    assert not foreign
    ours = {own(name) for name in names} - {None}
    assert all(layer_of(module) in LIGHT for module in ours), f"{path.name} imports {sorted(ours)} at its top"


def test_help_loads_nothing_heavy() -> None:
    """The same, dynamically: every command is imported for its short help, and torch is not."""
    code = (
        "import sys; from fastgan.__main__ import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "doctor" in done.stdout
    assert not HEAVY & {name.split(".")[0] for name in done.stderr.split()}
