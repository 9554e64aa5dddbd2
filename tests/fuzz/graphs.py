"""Mutations of ONNX models and parquet tables by their structure."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.documents import SCRIPT, STRANGE, text_of, value_changed


def onnx_part(random: Random, path: Path, others: Sequence[Path]) -> str:
    """A number, name or text of an ONNX graph."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    kind = random.choice(
        (
            "metadata",
            "metadata",
            "metadata",
            "dims",
            "weights",
            "weights",
            "location",
            "attribute",
            "attribute",
            "operator",
            "input",
            "shape",
            "opset",
            "output",
            "external",
            "twice",
            "type",
            "function",
        )
    )
    said = ""
    if kind == "metadata" and model.metadata_props:
        said = _metadata(random, model)
    elif kind in ("dims", "weights", "location", "external", "type") and graph.initializer:
        said = _initializer(random, kind, random.choice(graph.initializer))
    elif kind == "attribute":
        said = _attribute(random, graph)
    elif kind == "operator":
        node = random.choice(graph.node)
        node.op_type = random.choice(("Add", "Nothing", "", "Loop", "If", "Relu", "RandomNormal"))
        said = f"{node.name} {node.op_type}"
    elif kind == "input":
        random.choice(graph.input).name = random.choice(("", "x", STRANGE))
    elif kind == "shape":
        value = random.choice([*graph.input, *graph.output])
        dims = value.type.tensor_type.shape.dim
        if dims:
            random.choice(dims).dim_value = random.choice((0, -1, 1 << 40, 7))
    elif kind == "opset":
        random.choice(model.opset_import).version = random.choice((0, 1, 999, -1))
    elif kind == "output":
        graph.output.pop()
    elif kind == "twice":
        graph.node.append(graph.node[0])
    elif kind == "function":
        random.choice(graph.node).domain = random.choice(("com.evil", STRANGE))
    path.write_bytes(model.SerializeToString())
    return f"ONNX {kind} {said}"


def _metadata(random: Random, model: Any) -> str:
    prop = random.choice(model.metadata_props)
    kind = random.random()
    if kind < 0.15:
        model.metadata_props.remove(prop)
        return f"{prop.key} taken out"
    if kind < 0.25:
        model.metadata_props.add(key=prop.key, value="5")
        return f"{prop.key} twice"
    try:
        content, said = value_changed(random, json.loads(prop.value))
        prop.value = text_of(content)
    except (ValueError, UnicodeEncodeError):
        prop.value = random.choice(
            ("", "null", "-1", "9" * 5000, "[" * 90_000, STRANGE, SCRIPT, "nan", "1e400", "../../outside/x")
        )
        said = prop.value[:20]
    return f"{prop.key}: {said}"


def _initializer(random: Random, kind: str, tensor: Any) -> str:
    if kind == "dims":
        tensor.dims.append(random.choice((0, 2, -1, 1 << 40)))
    elif kind == "weights" and tensor.raw_data:
        raw = bytearray(tensor.raw_data)
        if random.random() < 0.5:
            raw[random.randrange(len(raw))] ^= 1 << random.randrange(8)
        else:
            at = random.randrange(max(len(raw) // 4, 1)) * 4
            raw[at : at + 4] = struct.pack("<f", float("nan"))[: len(raw[at : at + 4])]
        tensor.raw_data = bytes(raw)
    elif kind in ("location", "external"):
        place = random.choice(
            (
                "../../outside/secret",
                "/etc/passwd",
                "/dev/zero",
                "",
                ".",
                "model.onnx",
                STRANGE,
                "x" * 5000,
                "nothing.data",
            )
        )
        tensor.ClearField("external_data")
        tensor.external_data.add(key="location", value=place)
        if random.random() < 0.5:
            tensor.external_data.add(key="offset", value=random.choice(("-1", "9" * 30, "x", "0")))
        tensor.data_location = 1
        return f"{tensor.name} {place[:30]}"
    elif kind == "type":
        tensor.data_type = random.choice((0, 1, 7, 8, 11, 99))
    return str(tensor.name)


def _attribute(random: Random, graph: Any) -> str:
    nodes = [node for node in graph.node if node.attribute]
    if not nodes:
        return "none"
    node = random.choice(nodes)
    attribute = random.choice(node.attribute)
    if attribute.ints:
        attribute.ints[random.randrange(len(attribute.ints))] = random.choice((0, -1, 1 << 20, 3))
    elif attribute.HasField("i"):
        attribute.i = random.choice((0, -1, 1 << 40, 2))
    elif attribute.HasField("f"):
        attribute.f = random.choice((float("nan"), -1.0, 1e30, 0.5))
    else:
        node.attribute.remove(attribute)
    return f"{node.name}.{attribute.name}"


def parquet_part(random: Random, path: Path, others: Sequence[Path]) -> str:
    """A column of another type, or with other values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    rows = table.num_rows
    column = random.choice(table.column_names)
    values: list[Any] = table.column(column).to_pylist()
    kind = random.choice(
        ("null", "value", "type", "type", "rename", "remove", "twice", "metadata", "rows", "all null")
    )
    if kind == "null":
        values[random.randrange(rows)] = None
    elif kind == "all null":
        values = [None] * rows
    elif kind in ("value", "type"):
        made = random.choice(
            (
                ["x"] * rows,
                [10**6] * rows,
                [-7] * rows,
                [float("nan")] * rows,
                [float("inf")] * rows,
                [[1, 2]] * rows,
                [b"\xff\x00"] * rows,
                [STRANGE] * rows,
                [True] * rows,
                [{"bytes": b"x", "path": None}] * rows,
                [{"bytes": None, "path": "/etc/passwd"}] * rows,
                [{"path": "x"}] * rows,
                [2**62] * rows,
                [1.5] * rows,
                [b""] * rows,
                ["9" * 400] * rows,
            )
        )
        values = made
    if kind == "rename":
        table = table.rename_columns(
            [
                random.choice(("", "img", STRANGE, "label", "image")) if n == column else n
                for n in table.column_names
            ]
        )
    elif kind == "remove":
        table = table.drop_columns([column])
    elif kind == "twice":
        table = table.append_column(column, table.column(column))
    elif kind == "metadata":
        text = random.choice(
            (
                b"5",
                b"null",
                b'{"info": {"features": {"label": {"names": [5, null]}}}}',
                b"[" * 90_000,
                b'{"info": {"features": {"label": {"names": ["a"]}}}}',
                b'{"info": [1]}',
                b"\xff",
            )
        )
        table = table.replace_schema_metadata({b"huggingface": text})
    elif kind == "rows":
        table = table.slice(0, 0)
    else:
        table = table.set_column(table.column_names.index(column), column, pa.array(values))
    pq.write_table(table, path)
    return f"column {column}: {kind} {str(values[0])[:20] if kind in ('value', 'type') else ''}"
