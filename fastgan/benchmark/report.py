"""Results as JSON (with the machine and the versions they belong to) and as plain Markdown tables."""

import datetime
import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fastgan import machine, ops

if TYPE_CHECKING:
    import rich.table

SCHEMA = 1
_PACKAGES = ("fastgan", "torch", "triton", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu")

Row = Mapping[str, Any]
Table = tuple[list[str], list[list[str]]]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    found["torch"] = torch.__version__  # with the build, as in 2.11.0+cu130, which the metadata may leave out
    return found


def kernels() -> str:
    """A short hash of the compiled kernels: rows of two builds are not one result. Empty where there are none."""
    digest = hashlib.sha256()
    built = [path for path in sorted(Path(ops.__file__).parents[1].glob("_C*")) if path.is_file()]
    for path in built:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12] if built else ""


def header(device: str) -> dict[str, Any]:
    """What the numbers belong to: the machine, versions, build, commit and time."""
    processor = machine.processor()
    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "device": device_name(device),
        "processor": asdict(processor),
        "threads": torch.get_num_threads(),
        "load_average": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": _versions(),
        "ops": ops.build_info(),
        "backend": ops.backend("cuda" if device.startswith("cuda") else "cpu"),
        "commit": machine.git_commit(),
        "kernels": kernels(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        facts["gpu"] = {
            "name": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "l2_mib": round(properties.L2_cache_size / 2**20, 1),
            "cuda": torch.version.cuda,
        }
    return facts


def device_name(device: str) -> str:
    """The GPU's name, or the CPU's."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else machine.processor().name


def seconds(value: float) -> str:
    """A time with a unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * scale >= 1 or unit == "us":
            return f"{value * scale:.3g} {unit}"
    raise AssertionError


def _times(spread: Row | None) -> str:
    """A ratio with its quartiles, as in `4.1x (3.9-4.3)`."""
    return f"{spread['median']:.3g}x ({spread['q1']:.3g}-{spread['q3']:.3g})" if spread else ""


def ops_table(rows: Sequence[Row]) -> Table:
    """One line an op, shape, dtype, layout and pass."""
    compiled = any("compile_s" in row for row in rows)
    head = ["op", "shape", "dtype", "layout", "pass", "threads", "ours", "vs usual eager", "vs best eager"]
    head += ["the best eager"] + ["vs compile"] * compiled + ["time / floor"]
    lines = []
    for row in rows:
        line = [row["op"], "x".join(map(str, row["shape"])), row["dtype"], row["layout"]]
        line += ["fwd+bwd" if row["pass"] == "both" else "fwd", str(row["threads"])]
        line += [seconds(row["seconds"]["ours"]["median"]), _times(row["speedup"].get("usual"))]
        line += [_times(row["speedup"]["eager"]), row["best_eager"].replace("_", " ")]
        line += ["failed" if "compile_error" in row else _times(row["speedup"].get("compile"))] * compiled
        lines.append([*line, _times(row["over_floor"])])
    return head, lines


def throughput_table(rows: Sequence[Row]) -> Table:
    """Training and inference: one line a contender, images a second, the speed-up over the baseline, peak memory."""
    memory = any("peak_bytes" in row for row in rows)
    formats = any("format" in row for row in rows)
    busy = any(row.get("busy") for row in rows)
    baselines = list(dict.fromkeys(row.get("baseline", "plain") for row in rows))
    against = f"vs {baselines[0]}" if len(baselines) == 1 else "vs the first"
    head = ["model", *["format"] * formats, "batch", "contender", "images/s", against]
    head += ["peak memory"] * memory + ["busy"] * busy
    lines = []
    for row in rows:
        for name, rate in row["images_per_second"].items():
            line = [row["model"], *[row.get("format", "")] * formats, str(row["batch"]), name]
            line += [f"{rate['median']:.4g}", _times(row["speedup"].get(name))]
            peak = row.get("peak_bytes", {}).get(name)
            line += [f"{peak / 2**30:.3g} GiB" if peak else ""] * memory
            shares = row.get("busy", {}).get(name, {})
            lines.append([*line, *[", ".join(f"{k} {v:.0%}" for k, v in shares.items())] * busy])
    return head, lines


def latency_table(rows: Sequence[Row]) -> Table:
    """One line a contender: from a seed to its image."""
    head = ["model", "contender", "median", "99th percentile", "images"]
    return head, [
        [row["model"], name, *(seconds(found[key] / 1e3) for key in ("p50", "p99")), str(found["runs"])]
        for row in rows
        for name, found in row["milliseconds"].items()
    ]


def start_table(rows: Sequence[Row]) -> Table:
    """One line a process: from its start to its end, the first image on the disk."""
    return ["model", "process", "time to first image"], [
        [row["model"], name, seconds(spread["median"])]
        for row in rows
        for name, spread in row["seconds"].items()
    ]


_INFERENCE = {
    "nowhere": ("inference: seeds to pixels", throughput_table),
    "latency": ("inference: one image at a time", latency_table),
    "disk": ("inference: seeds to files", throughput_table),
    "start": ("inference: cold start", start_table),
}


def tables(section: str, rows: Sequence[Row]) -> list[tuple[str, Table]]:
    """The tables of a section, `ops`, `train` or `inference`, each with its title."""
    if section != "inference":
        return [(section, ops_table(rows) if section == "ops" else throughput_table(rows))]
    found = [
        (title, [row for row in rows if row.get("ask", "nowhere") == ask], draw)
        for ask, (title, draw) in _INFERENCE.items()
    ]
    return [(title, draw(some)) for title, some, draw in found if some]


def markdown(table_: Table) -> str:
    """A plain Markdown table, padded so that it reads as text, too."""
    head, lines = table_
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in [head, rule, *lines]
    )


def rich_table(title: str, table_: Table) -> "rich.table.Table":
    """The same table for a terminal."""
    import rich.table

    head, lines = table_
    drawn = rich.table.Table(*head, title=title)
    for line in lines:
        drawn.add_row(*line)
    return drawn


def describe(header_: Row) -> str:
    """One line above a table: where, on what, with which versions."""
    versions, processor = header_["versions"], header_["processor"]
    gpu = f"{header_['gpu']['name']}, " if "gpu" in header_ else ""
    counts = header_["threads"] if isinstance(header_["threads"], list) else [header_["threads"]]
    threads = f"{' and '.join(map(str, counts))} of {processor['cores']} threads"
    return (
        f"{gpu}{processor['name']}, {threads}; torch {versions['torch']}, fastgan {header_['backend']} ops"
        f" ({header_['ops'].get('isa') or 'no ISA'}), commit {header_['commit'] or 'unknown'}, {header_['date'][:10]}"
    )
