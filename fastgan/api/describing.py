"""What there is to know about a file or folder that fastgan wrote, as JSON types; no weight is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgan.documents import parse_json

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

RUN, CHECKPOINT, RELEASE = "training run", "checkpoint", "release"
EXPORTED, PACKED, REFERENCE = "exported model", "packed data set", "reference statistics"


def describe(path: Path) -> dict[str, Any]:
    """Everything about `path`: "file", "kind" (one of those above), and what that kind has.

    Raises CheckpointError or DataError for what is missing, damaged or not ours.
    """
    from fastgan.errors import CheckpointError

    if not path.exists():
        raise CheckpointError(
            f"{path} does not exist: give a run, a checkpoint, a release, an .onnx or an .fgd file."
        )
    suffix = path.suffix.lower()
    if path.is_dir() or path.name in ("latest", "best"):
        return _of_training(path)
    if suffix == ".onnx":
        return _of_onnx(path)
    if suffix == ".fgd":
        return _of_packed(path)
    if suffix == ".safetensors":
        return _of_safetensors(path)
    raise CheckpointError(
        f"{path} is nothing that fastgan writes: give a run, a checkpoint, a release, an .onnx or an .fgd file."
    )


def _of_packed(path: Path) -> dict[str, Any]:
    from fastgan.data import packed
    from fastgan.data.facts import facts_of

    return {"kind": PACKED, **facts_of(path, packed.read(path))}


def _of_training(path: Path) -> dict[str, Any]:
    """A run, by its latest checkpoint, or one checkpoint."""
    from fastgan import ownership
    from fastgan.training import checkpoint

    folder = checkpoint.locate(path)
    state = checkpoint.read_state(folder)
    kind = RUN if (path / "config.toml").is_file() else CHECKPOINT
    known: dict[str, Any] = {"file": str(path), "kind": kind}
    if kind == RUN:
        best = path / "best"
        known["latest"] = folder.name
        known["best"] = Path(checkpoint.pointed(best)).name or None if best.is_file() else None
        known["checkpoints"] = [found.name for found in ownership.checkpoints(path)]
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise checkpoint.CheckpointError(f"the checkpoint {folder} is not whole: {weights.name} is missing")
    _, sizes = _safetensors_header(weights)
    known |= {"bytes": sum(file.stat().st_size for file in folder.iterdir())}
    known["weights"] = {
        name: sum(size for tensor, size in sizes.items() if tensor.startswith(prefix))
        for name, prefix in (("generator", "g."), ("discriminator", "d."))
    }
    return known | _of_state(state)


def _of_safetensors(path: Path) -> dict[str, Any]:
    """A release, or what `fastgan eval --save-reference` wrote."""
    from fastgan.errors import CheckpointError
    from fastgan.training.state_file import parse_state

    metadata, sizes = _safetensors_header(path)
    known: dict[str, Any] = {"file": str(path), "bytes": path.stat().st_size}
    try:
        if metadata.get("format") == "fastgan.reference":
            protocol = parse_json(metadata["protocol"], dict[str, Any], "protocol")
            images = parse_json(metadata["n"], int, "n")
            return {**known, "kind": REFERENCE, "images": images, "protocol": protocol}
        if "fastgan" in metadata:
            own = {name: size for name, size in sizes.items() if not name.startswith("conditions.")}
            known["weights"] = {"generator": sum(own.values())}
            return {**known, "kind": RELEASE, **_of_state(parse_state(metadata["fastgan"], path))}
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: its metadata lacks or garbles {error}; write it again with this fastgan."
        ) from error
    within = f": give the folder, {path.parent}" if (path.parent / "state.json").is_file() else ""
    raise CheckpointError(f"{path} does not say what it is, as a release of fastgan's does{within}.")


def _of_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """What training saved beside the weights, or a release keeps of it."""
    config, data = dict(state["config"]), state.get("data", {})
    model = dict(config.pop("model"))
    return {
        "model": model["name"],
        "resolution": state.get("resolution", model.get("resolution")),
        "img_channels": model.get("img_channels"),
        "z_dim": model.get("z_dim"),
        "cur_nimg": state["cur_nimg"],
        "seconds": state.get("seconds"),
        "best_score": state.get("best"),
        "data_hash": data.get("content_hash"),
        "data_images": data.get("images"),
        "class_names": list(data.get("class_names", ())) if model.get("classes") else [],
        "attribute_names": list(data.get("attribute_names", ())) if model.get("attributes") else [],
        "versions": state.get("versions", {}),
        "config": {"model": model, **config},
    }


def _safetensors_header(path: Path) -> tuple[dict[str, str], dict[str, int]]:
    """A file's metadata, and how many numbers each of its tensors holds."""
    from safetensors import SafetensorError

    from fastgan.errors import CheckpointError
    from fastgan.tensor_file import open_tensor_file

    try:
        with open_tensor_file(path) as file:
            return file.metadata, {name: math.prod(entry.shape) for name, entry in file.entries.items()}
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}.") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file, or it is cut short ({error}).") from error


def _of_onnx(path: Path) -> dict[str, Any]:
    from fastgan.errors import CheckpointError
    from fastgan.inference.onnx_header import read_header
    from fastgan.inference.onnx_metadata import said_names, said_number

    model = read_header(path)
    said = {prop.key.removeprefix("fastgan."): prop.value for prop in model.metadata_props}
    if all(prop.key != "fastgan.version" for prop in model.metadata_props):
        raise CheckpointError(
            f"{path} is an ONNX model, but not one that fastgan exported; make one with fastgan export --onnx."
        )
    try:
        return {
            "file": str(path),
            "kind": EXPORTED,
            "bytes": path.stat().st_size,
            "data_files": _data_files(path, model),
            "model": said["model"],
            "part": said.get("part", "whole"),
            "precision": said.get("precision", "fp32"),
            "snr_db": _finite(said.get("snr_db", "inf")),
            "opset": next(opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")),
            "resolution": said_number(said, "resolution"),
            "img_channels": said_number(said, "img_channels"),
            "z_dim": said_number(said, "z_dim"),
            "cur_nimg": said_number(said, "cur_nimg") if "cur_nimg" in said else None,
            "data_hash": said.get("data_hash"),
            "fingerprint": said.get("fingerprint"),
            "class_names": [*said_names(said, "class_names")],
            "attribute_names": [*said_names(said, "attribute_names")],
            "pixels": said.get("pixels"),
            "layout": said.get("layout"),
            "latents": said.get("latents"),
            **_signature(model),
            "weights": _weights(model),
            "versions": {"fastgan": said["version"]},
            "config": {"model": parse_json(said["config"], dict[str, Any], "config")},
        }
    except (KeyError, ValueError, StopIteration) as error:
        raise CheckpointError(
            f"{path}: its metadata lacks or garbles {error}; it was written by fastgan {said['version']}: export it "
            "again with this one."
        ) from error


def _finite(text: str) -> float | None:
    """A number; None for an infinite one, which JSON does not know: a file without any difference from torch."""
    number = float(text)
    return number if math.isfinite(number) else None


def _data_files(path: Path, model: ModelProto) -> list[dict[str, Any]]:
    """The files beside a model that hold its weights, where it is too large for one file; bytes None: missing."""
    entries = (entry for tensor in model.graph.initializer for entry in tensor.external_data)
    names = dict.fromkeys(entry.value for entry in entries if entry.key == "location")
    beside = [path.with_name(Path(name).name) for name in names]
    return [{"file": str(file), "bytes": file.stat().st_size if file.is_file() else None} for file in beside]


def _signature(model: ModelProto) -> dict[str, list[dict[str, Any]]]:
    """The graph's inputs and outputs; an input that may be left out has a default."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [{**_tensor(value), "default": value.name in constants} for value in model.graph.input]
    return {"inputs": inputs, "outputs": [_tensor(value) for value in model.graph.output]}


def _tensor(value: ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    return {
        "name": value.name,
        "type": _type(tensor.elem_type),
        "shape": [side.dim_param or side.dim_value for side in tensor.shape.dim],
    }


def _weights(model: ModelProto) -> dict[str, int]:
    """How many numbers of each type the graph holds."""
    found: dict[str, int] = {}
    for tensor in model.graph.initializer:
        name = _type(tensor.data_type)
        found[name] = found.get(name, 0) + math.prod(tensor.dims)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _type(number: int) -> str:
    """ONNX's number of a type as numpy calls it."""
    from onnx import TensorProto

    name = TensorProto.DataType.Name(number).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)
