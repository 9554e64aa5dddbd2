"""Classes and attributes: what a seed gets, which names are known, and that every runtime agrees."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from fastgan.errors import CheckpointError, ConfigError
from fastgan.exporters import export_onnx, graph, verify
from fastgan.inference import Runtime, open_generator
from fastgan.inference.conditions import (
    Conditions,
    JointSample,
    Request,
    find_classes,
    parse_attributes,
)
from fastgan.nn.conditions import encode
from fastgan.seeds import uniforms
from tests.labelled import ATTRIBUTES, CLASSES, LABELS, TABLE, known, labelled_run, read_condition
from tests.test_seeds import philox_block
from tests.tiny import unsealed

KINDS = {
    "both": {},
    "classes": {"attributes": False},
    "attributes": {"classes": False},
    "neither": {"classes": False, "attributes": False},
}
NAN = float("nan")


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    with known():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("labelled")
    with known():
        return {name: labelled_run(root / name, **options) for name, options in KINDS.items()}


@pytest.fixture(scope="module")
def exported(runs: dict[str, Path]) -> dict[str, Path]:
    with known():
        for run in runs.values():
            export_onnx(run, run / "model.onnx")
    return {name: run / "model.onnx" for name, run in runs.items()}


def shown(runtime: Runtime, n: int, **request: Any) -> list[list[float]]:
    """The conditions that the images of the first seeds show."""
    return [read_condition(image, runtime.facts.condition_dim) for image in runtime.sample(n, **request)]


SAMPLE = JointSample(
    class_names=CLASSES,
    attribute_names=ATTRIBUTES,
    rows=Conditions(labels=np.array(LABELS), attributes=np.array(TABLE, np.float32)),
)


def test_what_is_left_open_follows_the_data() -> None:
    drawn = SAMPLE.draw(range(6000), Request())
    rows = Counter(zip(drawn.labels.tolist(), drawn.attributes[:, 1].tolist(), strict=True))
    assert len([row for row in rows if row[0] == 2]) == 4  # whole rows are taken, never parts of two
    share = sum(n for row, n in rows.items() if row[0] == 2) / 6000
    assert abs(share - 4 / 6) < 5 * (2 / 9 / 6000) ** 0.5
    assert (drawn.attributes[drawn.labels == 2, 0] == 0).all()
    assert np.isnan(drawn.attributes[drawn.labels == 0, 1]).all()


def test_several_classes_are_shared_out_evenly() -> None:
    drawn = SAMPLE.draw([0, 1, 2, 7, 2**64 - 1], Request(classes=(2, 0)))
    assert drawn.labels.tolist() == [2, 0, 2, 0, 0]
    assert (drawn.attributes[:, 0] == [0, 1, 0, 1, 1]).all()  # each with attributes of its own class


def test_open_attributes_agree_with_the_named_ones() -> None:
    drawn = SAMPLE.draw(range(200), Request(attributes=((0, 1.0),)))
    assert set(drawn.labels.tolist()) == {0, 1}
    assert (drawn.attributes[:, 0] == 1).all()


def test_nearest_rows_stand_in_where_none_agrees() -> None:
    # No truck smiles: trucks are taken all the same, and they smile.
    drawn = SAMPLE.draw(range(200), Request(classes=(2,), attributes=((0, 1.0),)))
    assert set(drawn.labels.tolist()) == {2}
    assert (drawn.attributes[:, 0] == 1).all()
    assert len(set(drawn.attributes[:, 1].tolist())) == 4


def table(*columns: list[float]) -> JointSample:
    rows = Conditions(attributes=np.array(columns, np.float32).T)
    return JointSample(class_names=(), attribute_names=tuple("ab"[: len(columns)]), rows=rows)


def test_nearest_are_some_and_all_that_are_equally_near() -> None:
    spread = table(np.linspace(0, 1, 101).tolist())
    assert spread.rows_like(None, ((0, 0.505),)).tolist() == list(range(35, 67))  # 32 of them
    assert spread.rows_like(None, ((0, float(np.float32(0.5))),)).tolist() == [50]
    halves = table([0.0] * 50 + [1.0] * 50)
    assert halves.rows_like(None, ((0, 2.0),)).tolist() == list(range(50, 100))
    # What is unknown is nearer than what contradicts, and farther than what agrees.
    unsure = table([0.0] * 40 + [NAN] * 40, [0.0] * 80)
    assert unsure.rows_like(None, ((0, 5.0),)).tolist() == list(range(40, 80))


def test_class_that_the_sample_does_not_hold() -> None:
    rows = Conditions(labels=np.array([0]), attributes=np.array([[0.25]], np.float32))
    drawn = JointSample(class_names=("a", "b"), attribute_names=("x",), rows=rows).draw(
        [5], Request(classes=(1,))
    )
    assert drawn.labels.tolist() == [1]
    assert drawn.attributes.tolist() == [[0.25]]


def test_draws_are_independent_of_z_and_even() -> None:
    u = uniforms(range(4000))
    assert u.dtype == np.float64
    assert (u >= 0).all()
    assert (u < 1).all()
    assert abs(u.mean() - 0.5) < 5 * (1 / 12 / 4000) ** 0.5
    np.testing.assert_array_equal(u[[7, 3]], uniforms([7, 3]))
    assert uniforms([5]).tolist() == [(philox_block(1, (5, 1))[0] >> 11) / 2**53]


def test_encoding_is_that_of_training() -> None:
    labels, attributes = np.array([2, 0, 1]), np.array([[1, NAN], [0, 0.5], [NAN, NAN]], np.float32)
    conditions = Conditions(labels=labels, attributes=attributes)
    c = conditions.encode(3)
    assert c.dtype == np.float32
    np.testing.assert_array_equal(c, encode(torch.tensor(labels), torch.tensor(attributes), 3))
    back = Conditions.decode(c, 3)
    np.testing.assert_array_equal(back.labels, labels)
    np.testing.assert_array_equal(back.attributes, attributes)
    again = Conditions.from_text(conditions.to_text())
    np.testing.assert_array_equal(again.labels, labels)
    np.testing.assert_array_equal(again.attributes, attributes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_image_depends_on_seed_and_request_alone(
    kind: str, runtime: str, runs: dict[str, Path], exported: dict[str, Path]
) -> None:
    model = open_generator(runs[kind] if runtime == "torch" else exported[kind], batch=4)
    assert model.name == runtime
    ten = model.sample(10)
    np.testing.assert_array_equal(ten, open_generator(runs[kind], batch=7).sample(10))
    np.testing.assert_array_equal(ten[[9, 2]], model.images([9, 2], Request()))
    assert len(np.unique(ten, axis=0)) == 10


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_request_by_name(runtime: str, runs: dict[str, Path], exported: dict[str, Path]) -> None:
    model = open_generator(runs["both"] if runtime == "torch" else exported["both"])
    assert (
        shown(model, 2, classes="truck", attributes={"smiling": 1, "age": 0.5})
        == [[0, 0, 1, 1, 0.5, 1, 1]] * 2
    )
    assert [c[:3] for c in shown(model, 4, classes=["dog", "cat"])] == [[0, 1, 0], [1, 0, 0]] * 2
    assert [c[:3] for c in shown(model, 3, classes="all")] == np.eye(3).tolist()
    only_classes = open_generator(runs["classes"] if runtime == "torch" else exported["classes"])
    assert shown(only_classes, 1, classes="dog,truck") == [[0, 1, 0]]


def test_conditions_of_ones_own(runs: dict[str, Path], exported: dict[str, Path]) -> None:
    z = np.zeros((2, 8), np.float32)
    between = np.array([[0.5, 0.5, 0, 0, 0, 0, 0]] * 2, np.float32)
    model = open_generator(runs["both"])
    assert read_condition(model.generate(z, between)[1], 3) == [0.5, 0.5, 0]
    with pytest.raises(ConfigError, match="nothing between two classes"):
        open_generator(exported["both"]).generate(z, between)
    for wrong in (None, between[:1], between[:, :5]):
        with pytest.raises(ValueError, match=r"c is missing|c has shape"):
            model.generate(z, wrong)
    with pytest.raises(ValueError, match="c has shape"):
        open_generator(runs["neither"]).generate(z, between)


@pytest.mark.parametrize(
    ("kind", "request_", "said"),
    [
        ("both", {"classes": "truk"}, "has no class 'truk' (did you mean truck?): its classes"),
        ("both", {"classes": ["cat", "x"]}, "has no class 'x': its classes are cat, dog, truck."),
        ("both", {"classes": "cat,"}, "has no class ''"),
        ("both", {"attributes": {"smilling": 1}}, "has no attribute 'smilling' (did you mean smiling?)"),
        ("both", {"attributes": {"age": NAN}}, "is no number: leave age away"),
        ("neither", {"classes": "cat"}, "this labelled model has no classes: leave `classes` away"),
        ("attributes", {"classes": "all"}, "has no classes"),
        ("classes", {"attributes": {"age": 1}}, "has no attributes: leave `attributes` away"),
    ],
)
def test_what_is_not_known(kind: str, request_: dict[str, Any], said: str, runs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        open_generator(runs[kind]).sample(1, **request_)


def test_names_with_commas_and_a_class_called_all() -> None:
    names = ("tench, Tinca tinca", "all", "tench")
    assert find_classes(["tench, Tinca tinca", "all,tench", "all"], names, "m") == (0, 1, 2)
    many = tuple(f"class{k}" for k in range(100))
    with pytest.raises(ConfigError, match="and 60 more"):
        find_classes("?", many, "m")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["smiling"], "not NAME=NUMBER"),
        (["=1"], "not NAME=NUMBER"),
        (["a=1,"], "not NAME=NUMBER"),
        (["a=yes"], "'yes' is no number"),
        (["a=1", "a=0"], "two values, 1 and 0"),
    ],
)
def test_attributes_as_text(texts: list[str], said: str) -> None:
    assert parse_attributes(["a=1, b = -0.5", "a=1", "x=y=2"]) == {"a": 1.0, "b": -0.5, "x=y": 2.0}
    with pytest.raises(ConfigError, match=said):
        parse_attributes(texts)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sample": False}, "does not have what there are names for"),
        ({"class_names": ["cat", "dog"]}, "it names 2 classes, and its generator takes 3"),
        ({"attribute_names": []}, "it names 0 attributes, and its generator takes 2"),
    ],
)
def test_checkpoint_that_is_not_whole(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=said):
        open_generator(labelled_run(tmp_path, **options))


def test_exported_graph(exported: dict[str, Path]) -> None:
    model = onnx.load(exported["both"])
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in model.graph.input
    }
    assert shapes == {"z": ["batch", 8], "label": ["batch"], "attributes": ["batch", 2]}
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(metadata["fastgan.class_names"]) == list(CLASSES)
    assert json.loads(metadata["fastgan.attribute_names"]) == list(ATTRIBUTES)
    np.testing.assert_array_equal(Conditions.from_text(metadata["fastgan.conditions"]).labels, LABELS)
    assert [value.name for value in onnx.load(exported["neither"]).graph.input] == ["z"]


@pytest.mark.parametrize("text", ["", "?", "aGVsbG8="])
def test_exported_sample_that_is_garbled(text: str, exported: dict[str, Path], tmp_path: Path) -> None:
    model = unsealed(exported["both"])
    next(prop for prop in model.metadata_props if prop.key == "fastgan.conditions").value = text
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(CheckpointError, match=r"garbles the sample|does not have what"):
        open_generator(tmp_path / "odd.onnx")


@pytest.mark.parametrize("broken", ["labels", "attributes"])
def test_export_that_ignores_a_condition_is_refused(
    broken: str, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(labels: torch.Tensor, attributes: torch.Tensor, classes: int) -> torch.Tensor:
        return encode(labels * (broken != "labels"), attributes * float(broken != "attributes"), classes)

    monkeypatch.setattr(graph, "encode", wrong)
    with pytest.raises(Exception, match="differs from torch"):
        export_onnx(runs["both"], tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_export_is_verified_with_every_class_and_with_unknowns(runs: dict[str, Path]) -> None:
    asked = verify._conditions(open_generator(runs["both"]).facts, 7)
    assert asked.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert 0.2 < np.isnan(asked.attributes).mean() < 0.5
