"""Rows that were measured in several runs, in one file: a new row replaces the old one."""

from collections.abc import Mapping
from typing import Any

from fastgan.benchmark.questions import DTYPES, LAYOUTS, PASSES

Row = Mapping[str, Any]
Key = tuple[Any, ...]


def key(row: Row) -> Key:
    """What a row is about; one file has one row for it."""
    return (row["op"], tuple(row["shape"]), row["dtype"], row["layout"], row["pass"], row["threads"])


def inference_key(row: Row) -> Key:
    """The same, of a row about inference."""
    return (row["model"], row["ask"], row.get("format"), row["batch"], row["threads"])


def rows_of(document: Row | None, section: str = "ops") -> list[dict[str, Any]]:
    """The rows of a section, none where there is no document."""
    return list(document["sections"][section]["rows"]) if document else []


def merged(before: Row | None, document: Row) -> dict[str, Any]:
    """`document` with the rows of `before` that it does not have.

    The header is that of `document`; every row names the commit, the build of the kernels, the date and the
    allocator that it was measured with, and `threads` of the header becomes the list of what there is.
    """
    found = {key(row): row for row in rows_of(before)}
    found |= {key(row): {**_stamp(document), **row} for row in rows_of(document)}
    rows = sorted(found.values(), key=_order)
    section = {**document["sections"]["ops"], "rows": rows}
    section["clock"] = "cpu with one thread, wall with more" if len(_threads(rows)) > 1 else section["clock"]
    return {**document, "threads": _threads(rows), "sections": {"ops": section}}


def merged_inference(before: Row | None, document: Row) -> dict[str, Any]:
    """The same for the section of inference, whose rows stay in the order in which they were first measured."""
    stamp = {**_stamp(document), "threads": document["threads"]}
    found = {inference_key(row): row for row in rows_of(before, "inference")}
    found |= {inference_key(row): row for row in ({**stamp, **row} for row in rows_of(document, "inference"))}
    rows = list(found.values())
    section = {**document["sections"]["inference"], "rows": rows}
    section["clock"] = "cpu with one thread and no files, wall else"
    return {**document, "threads": _threads(rows), "sections": {"inference": section}}


def _stamp(document: Row) -> dict[str, Any]:
    return {name: document[name] for name in ("commit", "kernels", "date", "allocator")}


def _threads(rows: list[dict[str, Any]]) -> list[int]:
    return sorted({row["threads"] for row in rows})


def _order(row: Row) -> Key:
    """Ops by name; planes from small to large; dtypes, layouts and passes as they are declared; threads last."""
    op, shape, dtype, layout, pass_, threads = key(row)
    places = (list(DTYPES).index(dtype), list(LAYOUTS).index(layout), PASSES.index(pass_))
    return (op, shape[2] * shape[3], shape, *places, threads)
