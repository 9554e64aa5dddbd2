"""A model repository that Triton would load: its configuration by Triton's own rules, its graph by its images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from fastgan.errors import CheckpointError, OutputError
from fastgan.exporters import export_onnx, triton
from fastgan.inference import open_generator
from fastgan.seeds import latents
from tests.tiny import tiny_run, unsealed

# The messages of Triton's model_config.proto that we write, [type] for repeated ones. A map is written like a repeated
# message of key and value.
ENUMS = {
    "DataType": ["TYPE_INVALID", "TYPE_UINT8", "TYPE_INT64", "TYPE_FP16", "TYPE_FP32"],
    "Kind": ["KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL"],
}
MESSAGES: dict[str, dict[str, Any]] = {
    "Reshape": {"shape": ["int64"]},
    "Input": {
        "name": "string", "data_type": "DataType", "dims": ["int64"], "reshape": "Reshape", "optional": "bool",
    },
    "Output": {"name": "string", "data_type": "DataType", "dims": ["int64"], "reshape": "Reshape"},
    "DynamicBatching": {"preferred_batch_size": ["int64"], "max_queue_delay_microseconds": "int64"},
    "InstanceGroup": {"count": "int64", "kind": "Kind"},
    "WarmupInput": {"data_type": "DataType", "dims": ["int64"], "zero_data": "bool", "random_data": "bool"},
    "WarmupEntry": {"key": "string", "value": "WarmupInput"},
    "Warmup": {"name": "string", "batch_size": "int64", "inputs": ["WarmupEntry"], "count": "int64"},
    "Parameter": {"string_value": "string"},
    "ParameterEntry": {"key": "string", "value": "Parameter"},
    "ModelConfig": {
        "name": "string", "platform": "string", "backend": "string", "max_batch_size": "int64", "input": ["Input"],
        "output": ["Output"], "dynamic_batching": "DynamicBatching", "instance_group": ["InstanceGroup"],
        "default_model_filename": "string", "model_warmup": ["Warmup"], "parameters": ["ParameterEntry"],
    },
}  # fmt: skip
TYPES = {
    onnx.TensorProto.FLOAT: "TYPE_FP32",
    onnx.TensorProto.INT64: "TYPE_INT64",
    onnx.TensorProto.UINT8: "TYPE_UINT8",
}


def parse(text: str) -> Any:
    """A ModelConfig; raises for a field, type or name that Triton does not know."""
    file = descriptor_pb2.FileDescriptorProto(name="config.proto", package="t", syntax="proto3")
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    simple = {"string": 9, "int64": 3, "bool": 8}
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            one = kind[0] if isinstance(kind, list) else kind
            added = message.field.add(name=field, number=number, label=3 if isinstance(kind, list) else 1)
            added.type = simple.get(one, 14 if one in ENUMS else 11)
            if one not in simple:
                added.type_name = f".t.{one}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.ModelConfig"))
    return text_format.Parse(text, made())


def check_as_triton_does(config: Any, model: onnx.ModelProto) -> None:
    """The rules of the ONNX Runtime backend for a model that is batched: `ValidateInputs`, `CompareDimsSupported`."""
    defaults = {tensor.name for tensor in model.graph.initializer}
    required = {value.name: value for value in model.graph.input if value.name not in defaults}
    assert config.max_batch_size > 0
    assert [given.name for given in config.input] == list(required)
    assert not any(given.optional for given in config.input)
    given_and_graphs = [(given, required[given.name]) for given in config.input]
    [output] = config.output
    for given, value in [*given_and_graphs, (output, model.graph.output[0])]:
        tensor = value.type.tensor_type
        assert given.name == value.name
        assert ENUMS["DataType"][given.data_type] == TYPES[tensor.elem_type]
        assert given.dims, "the empty shape is not allowed on the wire"
        batch, *sides = tensor.shape.dim
        assert batch.dim_param == "batch"
        shape = given.reshape.shape if given.HasField("reshape") else given.dims
        assert [side.dim_value for side in sides] == list(shape)
    for warmup in config.model_warmup:
        assert 1 <= warmup.batch_size <= config.max_batch_size
        filled = {entry.key: (entry.value.data_type, list(entry.value.dims)) for entry in warmup.inputs}
        assert filled == {given.name: (given.data_type, list(given.dims)) for given in config.input}


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tiny_run(
        tmp_path_factory.mktemp("runs") / "0007", "stylegan", resolution=8, classes=3, attributes=2
    )
    export_onnx(run, run.parent / "faces.onnx")
    return run.parent / "faces.onnx"


def test_conditional_stylegan(conditional: Path, tmp_path: Path) -> None:
    folder = triton.write_repository(conditional, tmp_path / "models")
    assert folder == tmp_path / "models" / "faces"
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) == [
        "1",
        "1/model.onnx",
        "config.pbtxt",
    ]
    config = parse((folder / "config.pbtxt").read_text())
    model = onnx.load(folder / "1" / "model.onnx")
    check_as_triton_does(config, model)
    assert (config.name, config.backend, config.max_batch_size) == ("faces", "onnxruntime", 64)
    assert [given.name for given in config.input] == ["z", "label", "attributes", "truncation_psi"]
    assert config.dynamic_batching.max_queue_delay_microseconds == 1000
    about = {entry.key: entry.value.string_value for entry in config.parameters}
    assert json.loads(about["class_names"]) == ["class0", "class1", "class2"]

    # Requests of three callers in one batch, as Triton puts them together.
    runtime = open_generator(conditional)
    c = np.array([[1, 0, 0, 0.5, 0, 1, 0], [0, 0, 1, 1, -1, 1, 1], [0, 1, 0, 0, 0, 0, 0]], np.float32)
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    psi = np.array([[1.0], [0.2], [-0.5]], np.float32)
    feed = {
        "z": latents(range(3), 16),
        "label": np.array([0, 2, 1]),
        "attributes": np.array([[0.5, np.nan], [1, -1], [np.nan, np.nan]], np.float32),
        "truncation_psi": psi,
    }
    images = session.run(None, feed)[0]
    assert images.dtype == np.uint8
    alone = [runtime.generate(feed["z"], c, float(each))[k] for k, each in enumerate(psi[:, 0])]
    assert np.abs(images.astype(int) - alone).max() <= 1
    assert np.abs(images[1].astype(int) - runtime.generate(feed["z"], c)[1]).max() > 3  # psi is heard


@pytest.mark.parametrize("uint8", [False, True])
def test_dcgan(uint8: bool, tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "0008", "dcgan", resolution=8, img_channels=1)
    export_onnx(run, tmp_path / "m.onnx", uint8=uint8)
    folder = triton.write_repository(tmp_path / "m.onnx", tmp_path, name="digits")
    config, model = parse((folder / "config.pbtxt").read_text()), onnx.load(folder / "1" / "model.onnx")
    check_as_triton_does(config, model)
    assert config.name == "digits"
    assert [value.name for value in model.graph.input] == ["z"]
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    images = session.run(None, {"z": latents(range(4), 7)})[0].astype(int)
    assert np.abs(images - open_generator(run).sample(4)).max() <= 1


def test_names_are_quoted(conditional: Path, tmp_path: Path) -> None:
    model, names = unsealed(conditional), ['a "b"', "c\\d\n", "é 猫"]
    next(p for p in model.metadata_props if p.key == "fastgan.class_names").value = json.dumps(names)
    onnx.save_model(model, tmp_path / "m.onnx")
    folder = triton.write_repository(tmp_path / "m.onnx", tmp_path)
    config = parse((folder / "config.pbtxt").read_text(encoding="utf-8"))
    about = {entry.key: entry.value.string_value for entry in config.parameters}
    assert json.loads(about["class_names"]) == names


def test_weights_in_a_file_of_their_own(conditional: Path, tmp_path: Path) -> None:
    """Triton wants several files in a folder called model.onnx."""
    onnx.save_model(
        unsealed(conditional), tmp_path / "big.onnx", save_as_external_data=True, location="big.onnx.data",
        size_threshold=200,
    )  # fmt: skip
    folder = triton.write_repository(tmp_path / "big.onnx", tmp_path / "models")
    inside = folder / "1" / "model.onnx"
    assert sorted(file.name for file in inside.iterdir()) == ["big.onnx.data", "model.onnx"]
    assert (inside / "big.onnx.data").read_bytes() == (tmp_path / "big.onnx.data").read_bytes()


def test_what_is_there_stays(conditional: Path, tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is there already"):
        triton.write_repository(conditional, tmp_path)
    assert (tmp_path / "faces" / "notes.txt").read_text() == "mine"
    with pytest.raises(OutputError, match="no model of Triton's"):
        triton.write_repository(conditional, tmp_path, overwrite=True)
    assert (tmp_path / "faces" / "notes.txt").read_text() == "mine"
    (tmp_path / "faces" / "config.pbtxt").touch()
    triton.write_repository(conditional, tmp_path, overwrite=True)
    assert not (tmp_path / "faces" / "notes.txt").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="not a folder that you may write to"):
        triton.write_repository(conditional, tmp_path / "file")


def test_a_wrong_graph_leaves_nothing(
    conditional: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = triton.batched

    def darker(model: onnx.ModelProto, runtime: Any) -> None:
        real(model, runtime)
        half = next(tensor for tensor in model.graph.initializer if tensor.name == "pixels_half")
        half.float_data[0] = 120.0

    monkeypatch.setattr(triton, "batched", darker)
    with pytest.raises(OutputError, match=r"differs from .* grey levels"):
        triton.write_repository(conditional, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_bad_sources(conditional: Path, tmp_path: Path) -> None:
    model = onnx.load(conditional)
    props = {p.key: p.value for p in model.metadata_props}
    onnx.helper.set_model_props(model, props | {"fastgan.part": "mapping"})
    onnx.save_model(model, tmp_path / "m.mapping.onnx")
    with pytest.raises(CheckpointError, match="is the mapping of a model alone"):
        triton.write_repository(tmp_path / "m.mapping.onnx", tmp_path)
    del model.metadata_props[:]
    onnx.save_model(model, tmp_path / "foreign.onnx")
    with pytest.raises(CheckpointError, match="not one that fastgan exported"):
        triton.write_repository(tmp_path / "foreign.onnx", tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        triton.write_repository(tmp_path / "nothing.onnx", tmp_path)
    folder = triton.write_repository(conditional, tmp_path)
    with pytest.raises(CheckpointError, match="for Triton Inference Server"):
        open_generator(folder / "1" / "model.onnx")
