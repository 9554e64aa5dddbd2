"""Imports go one way (DESIGN.md, section 2), found by reading the source, imports inside functions included."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

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
    "pixels",
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
CORE = BASE | {"draws", "seeds", "effnet_lite0", "ops", "nn", "models", "losses", "diffaug", "data"}
TRAINED = BASE | {
    "seeds",
    "ops",
    "nn",
    "models",
    "data",
    "training.checkpoint",
    "training.release",
    "inference",
}
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
    "pixels": set(),
    "seal": {"errors", "documents", "tensor_file"},
    "config": {"errors", "text", "files", "documents"},
    "machine": {"errors"},
    "extras": set(),
    "version": set(),
    "console": {"text"},
    "progress": {"console", "text"},
    "callbacks": {"errors", "naming"},
    "allocator": set(),
    "onnx_probe": set(),
    "draws": set(),
    "seeds": {"arguments", "errors", "naming"},
    "effnet_lite0": {"errors", "files"},
    "doctor": {"machine", "extras", "ops", "onnx_probe"},
    "ops": {"errors", "environment"},
    "nn": {"errors", "ops"},
    "models": {"errors", "config", "draws", "ops", "nn"},
    "losses": {"errors", "draws", "ops"},
    "diffaug": {"errors", "draws", "ops"},
    "data": BASE,
    "metrics": BASE | {"effnet_lite0"},
    "training": CORE,
    "inference": TRAINED,
    "exporters": TRAINED,
    "fastest": TRAINED | {"exporters"},
    "study": CORE | TRAINED | {"training", "metrics", "pages"},
    "pages": BASE,
    "report": BASE | {"pages"},
    "benchmark": EVERYTHING,
    "evaluation": CORE | TRAINED | {"metrics"},
    "tuning": EVERYTHING | {"evaluation", "api.evaluate", "api.run", "api.train"},
    "api": EVERYTHING | {"benchmark", "evaluation", "tuning"},
    "commands": EVERYTHING | {"benchmark", "evaluation", "tuning", "api", "doctor"},
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
    "device",
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


TREES = {module_of(path): ast.parse(path.read_text()) for path in FILES}
NAMES = {module_of(path): {*imports(TREES[module_of(path)], path)} for path in FILES}
"""Module -> all that it imports: at its top, inside functions, and for type checkers alone"""
OURS = {module: {own(name) for name in names} - {None, "__init__", module} for module, names in NAMES.items()}


def covered(module: str, allowed: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def roots(names: Iterable[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """All that `start` imports, and what that imports, and so on."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return seen


def circles(graph: Mapping[str, set[str]]) -> list[str]:
    """The imports by which a module comes back to itself, as "one -> other"."""
    ways = {module: reached(graph, module) for module in graph}
    return [
        f"{module} -> {other}"
        for module in sorted(graph)
        for other in sorted(graph[module])
        if module in ways.get(other, ())
    ]


def told(wrong: list[str]) -> str:
    return "\n".join(["", *wrong])


def test_each_module_imports_from_the_layers_below_alone() -> None:
    wrong = []
    for module, ours in OURS.items():
        layer = layer_of(module)
        if layer not in MAY_IMPORT:
            wrong.append(f"{module} is in no layer: give it one in tests/test_layers.py and DESIGN.md")
            continue
        above = {m for m in ours if layer_of(m) != layer and not covered(m, MAY_IMPORT[layer])}
        beside = roots(NAMES[module]) & {"tools", "benchmarks", "tests", "setup"}
        foreign = roots(NAMES[module]) - {"fastgan"} - sys.stdlib_module_names
        foreign = foreign if module in STDLIB_ONLY else set()
        wrong += [f"{module} may not import {name}" for name in sorted(above | beside | foreign)]
    assert not wrong, told(wrong)


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Not inside functions and not for type checkers either: what two files need of each other is a third."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b -> c", "c -> b"]
    wrong = circles(OURS)
    assert not wrong, told(wrong)


def test_the_command_line_imports_only_click_and_light_modules_at_its_top() -> None:
    wrong = []
    for path in FILES:
        module = module_of(path)
        if layer_of(module) not in LIGHT:
            continue
        names = {*imports(top_level(ast.parse(path.read_text())), path)}
        foreign = roots(names) - sys.stdlib_module_names - {"fastgan", "click"}
        heavy = {found for name in names if (found := own(name)) and layer_of(found) not in LIGHT}
        wrong += [f"{module} imports {name} at its top" for name in sorted(foreign | heavy)]
    assert not wrong, told(wrong)


def test_help_loads_nothing_heavy() -> None:
    """The same, dynamically: every command is imported for its short help, and torch is not."""
    code = (
        "import sys; from fastgan.__main__ import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "doctor" in done.stdout
    assert not HEAVY & {name.split(".")[0] for name in done.stderr.split()}
