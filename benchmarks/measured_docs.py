"""Puts the measured tables into docs/kernels.md and docs/inference.md, between their markers.

    python -m benchmarks.measured_docs [--check]

A block begins with `<!-- measured: NAME -->` and ends with `<!-- end -->`; what is between them is made from
results/*.json. `--check` changes nothing and exits with 1 if a document is not what the results make of it.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from benchmarks import inference_tables, targets
from benchmarks.publish import RESULTS
from fastgan.benchmark import report
from fastgan.benchmark.questions import ACTIVATIONS, Plan, questions

DOCUMENTS = [Path(__file__).resolve().parents[1] / "docs" / name for name in ("kernels.md", "inference.md")]
_BLOCK = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

Document = Mapping[str, Any]


def _documents(folder: Path, question: str) -> list[Document]:
    return [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(f"{question}-*.json"))
    ]


def _shapes(rows: list[Any]) -> list[tuple[int, ...]]:
    found = {tuple(row["shape"]) for row in rows if row["op"] in targets.IN_LAYERS}
    return sorted(found, key=lambda shape: (shape[2] * shape[3], shape))


def _targets(folder: Path) -> str:
    parts = []
    for document in _documents(folder, "ops"):
        goals = targets.GPU if "gpu" in document else targets.CPU
        rows = document["sections"]["ops"]["rows"]
        share = "" if "gpu" in document else f" {_measured(document, rows)}"
        parts.append(
            f"{report.describe(document)}.{share}\n\n{report.markdown(targets.verdicts(rows, goals))}"
        )
    return "\n\n".join(parts)


def _measured(document: Document, rows: list[Any]) -> str:
    """How much of the whole matrix the rows are."""
    threads = {1, document["processor"]["cores"]}
    cases = len(list(questions(Plan(names=targets.IN_LAYERS)))) * len(threads)
    here = [row for row in rows if row["op"] in targets.IN_LAYERS and tuple(row["shape"]) in ACTIVATIONS]
    return f"Measured: {len(here)} of {cases} cases."


def _standing(folder: Path) -> str:
    parts = []
    for document in _documents(folder, "ops"):
        rows, gpu = document["sections"]["ops"]["rows"], "gpu" in document
        parts.append(f"### {document['device']}")
        for threads in sorted({row["threads"] for row in rows}):
            chosen = [row for row in rows if row["threads"] == threads and row["op"] in targets.IN_LAYERS]
            shapes = _shapes(chosen)
            at = ", ".join(str(list(shape)) for shape in shapes)
            count = "" if gpu else f"{threads} thread{'s' if threads > 1 else ''}; "
            parts.append(f"{count}the numbers of a cell are at {at}.")
            parts.append(report.markdown(targets.standing(chosen, shapes, gpu)))
    return "\n\n".join(parts)


def _penalty_ops(folder: Path) -> str:
    rows = [
        row
        for document in _documents(folder, "ops")
        for row in document["sections"]["ops"]["rows"]
        if row["op"] not in targets.IN_LAYERS
    ]
    parts = [report.markdown(report.ops_table(rows))] if rows else []
    for document in _documents(folder, "penalty"):
        for row in document["sections"]["penalty"]["rows"]:
            parts.append(_share(document, row))
    return "\n\n".join(parts)


def _share(document: Document, row: Mapping[str, Any]) -> str:
    """What the two ops are of a step, and what ours saves of it: never more than their share."""
    share, ends, step = (row[name]["median"] for name in ("share_of_step", "ends_speedup", "step_speedup"))
    saved = 100 * share * (1 - 1 / ends)
    quartiles = f"{row['step_speedup']['q1']:.3f}-{row['step_speedup']['q3']:.3f}"
    return (
        f"In a penalised discriminator step ({row['model']}, batch {row['batch']}, {row['precision']};"
        f" {report.describe(document)}) the two take {100 * share:.2g}% of the time with eager ops. Ours are"
        f" {ends:.2g}x as fast, so that they save **{saved:.2g}% of the step**; the ratio of whole steps is"
        f" {step:.3f} (quartiles {quartiles}), most of it the step's own noise."
    )


def _inference(folder: Path) -> str:
    parts = []
    for document in _documents(folder, "inference"):
        parts.append(f"### {document['device']}")
        parts.append(f"{report.describe(document)}.")
        for title, table in inference_tables.tables(document["sections"]["inference"]["rows"]):
            parts += [f"**{title}**", report.markdown(table)]
    return "\n\n".join(parts)


BLOCKS = {"targets": _targets, "standing": _standing, "penalty": _penalty_ops, "inference": _inference}


def rendered(text: str, folder: Path = RESULTS) -> str:
    """`text` with every block made anew from the results in `folder`."""
    return _BLOCK.sub(lambda block: f"{block[1]}\n{BLOCKS[block[2]](folder)}\n\n{block[3]}", text)


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if the tables are not up to date.")
def main(check: bool) -> None:
    """Bring the tables of the documents up to date."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        new = rendered(text)
        if check and new != text:
            sys.exit(
                f"docs/{document.name} is not what benchmarks/results make of it: "
                "run python -m benchmarks.measured_docs."
            )
        document.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
