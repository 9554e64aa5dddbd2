"""Public functions answer wrong arguments in one sentence that names them; objects show themselves in a line."""

import ast
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fastgan
from fastgan import FastganError, arguments
from fastgan.data import open_dataset, pack, survey
from fastgan.inference import Inputs, Runtime
from fastgan.seeds import latents
from tests.data.images import fill
from tests.tiny import tiny_run

PACKAGE = Path(arguments.__file__).parent
WITHOUT_OPTIONS = ("inference", "data", "metrics", "exporters", "evaluation", "api")
KEPT = ("--holdout", "half of --data")  # values of a card, which has to compare with those of other versions


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    run = tiny_run(tmp_path_factory.mktemp("runs") / "0007", "stylegan")
    return fastgan.load(run, device="cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "set"
    fill(folder, 3)
    return folder


def sentence(error: BaseException) -> str:
    said = str(error)
    assert len(said) < 400
    assert "\n" not in said
    assert not re.search(r"(^|[\s(])--?[a-z]", said), said
    return said


TENSOR = torch.zeros(64, 64)


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("n", ["2", 0, -1, 2.0, True, None, np.nan, [2], 10**30, TENSOR, 1 + 0j]),
        ("seed", ["a", -1, 3.0, True, None, 2**64, b"3", np.float32(3), [1], np.bool_(True), TENSOR]),
        ("truncation_psi", ["0.7", None, np.nan, 3, -2.5, True, [0.7], 10**400, Fraction(10**400), TENSOR]),
        ("truncation_cutoff", ["1", 99, -1, 1.5, True, [1]]),
        ("noise", ["loud", None, 3, ["const"], TENSOR]),
        ("classes", [3, True, [3], [None], TENSOR, "truck", {"truck": 1}]),
        ("attributes", ["smiling", [("smiling", 1)], 3, {"smiling": 1}]),
    ],
)
def test_sample_refuses_in_a_sentence(model: Runtime, argument: str, values: list[Any]) -> None:
    for value in values:
        given = {"n": 1} | {argument: value}
        with pytest.raises(FastganError) as caught:
            model.sample(**given)
        said = sentence(caught.value)
        assert argument in said or "has no classes" in said or "has no attributes" in said


def test_sample_takes_numbers_of_any_make(model: Runtime) -> None:
    expected = model.sample(2, 5, 0.5)
    for n, seed, psi in (
        (np.int64(2), np.uint64(5), np.float32(0.5)),
        (torch.tensor(2), np.int8(5), torch.tensor(0.5)),
        (np.array(2), np.array(5), Fraction(1, 2)),
    ):
        np.testing.assert_array_equal(model.sample(n, seed, psi), expected)
    np.testing.assert_array_equal(model.sample(1, 2**64 - 1).shape, (1, 16, 16, 3))
    np.testing.assert_array_equal(model.sample(2, classes=None, attributes={}), model.sample(2, classes=[]))


def test_attributes_are_numbers_or_a_yes(tmp_path: Path) -> None:
    model = fastgan.load(tiny_run(tmp_path / "run", "dcgan", attributes=2), device="cpu")
    yes = model.sample(2, attributes={"attribute0": 1})
    for value in (True, np.float32(1), torch.tensor(1)):
        np.testing.assert_array_equal(model.sample(2, attributes={"attribute0": value}), yes)
    for value in ("1", None, [1], np.nan, TENSOR):
        with pytest.raises(FastganError, match=r"attribute0=.* is no number"):
            model.sample(2, attributes={"attribute0": value})
    with pytest.raises(FastganError, match="no attribute 3"):
        model.sample(2, attributes={3: 1})


@pytest.mark.parametrize(
    "given",
    [
        {"path": 5},
        {"path": None},
        {"path": ""},
        {"runtime": "quick"},
        {"runtime": 3},
        {"device": "gpu"},
        {"device": 3},
        {"device": ["cpu"]},
        {"batch": "4"},
        {"batch": 0},
        {"batch": 2.0},
        {"batch": True},
        {"precision": "fp8"},
        {"precision": 32},
        {"lanes": 0},
        {"lanes": "2"},
        {"ema": "10"},
        {"ema": True},
        {"ema": float("nan")},
    ],
    ids=str,
)
def test_load_refuses_in_a_sentence(given: dict[str, Any], model: Runtime) -> None:
    with pytest.raises(FastganError) as caught:
        fastgan.load(**{"path": model.facts.source} | given)
    assert next(iter(given)) in sentence(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"source": 5},
        {"source": None},
        {"resolution": "64"},
        {"resolution": 0},
        {"resolution": 16.0},
        {"resolution": True},
        {"channels": 2},
        {"channels": "3"},
        {"fit": "stretch"},
        {"fit": None},
        {"split": "half"},
        {"split": 1},
        {"kind": "floppy"},
        {"kind": 3},
        {"max_pixels": 0},
        {"max_pixels": "many"},
        {"max_bad": None},
        {"max_bad": "few"},
        {"max_bad": -1},
        {"max_bad": float("nan")},
    ],
    ids=str,
)
def test_open_dataset_refuses_in_a_sentence(given: dict[str, Any], photos: Path, tmp_path: Path) -> None:
    name = next(iter(given))
    with pytest.raises(FastganError, match=name) as caught:
        open_dataset(**{"source": photos} | given)
    sentence(caught.value)
    with pytest.raises(FastganError, match=name):
        pack(**{"source": photos, "out": tmp_path / "x.fgd"} | given)
    if name in ("source", "fit", "split", "kind"):
        with pytest.raises(FastganError):
            survey(**{"source": photos} | given)
    assert not list(tmp_path.iterdir())


def test_too_many_broken_images_name_the_argument(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(FastganError, match=r"allow as many with max_bad=1"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("seeds", "z_dim"), [(5, 3), ("57", 3), (["a"], 3), ([True], 3), ([1.0], 3), ([1], "3"), ([1], 0)]
)
def test_latents_refuse_in_a_sentence(seeds: Any, z_dim: Any) -> None:
    with pytest.raises(FastganError) as caught:
        latents(seeds, z_dim)
    sentence(caught.value)


def test_seeds_of_images_are_a_list(model: Runtime) -> None:
    with pytest.raises(FastganError, match="no list of seeds"):
        model.images(5, model.request())
    several = model.images(np.array([3, 1]), model.request())
    np.testing.assert_array_equal(several, model.images([3, 1], model.request()))


def test_objects_show_themselves_in_a_line(model: Runtime, photos: Path) -> None:
    dataset = open_dataset(photos, resolution=8)
    assert re.fullmatch(r"<Dataset: 3 images of 8 x 8 RGB.*, hash [0-9a-f]{12}>", repr(dataset))
    assert "stylegan, 16 px, 3 channels, 1.5 kimg; torch on cpu" in repr(model)
    inputs = Inputs(z=np.zeros((4, 100), np.float32))
    assert "Inputs(z=float32 [4, 100], c=None, noise=None" in repr(inputs)
    for thing in (dataset, model, inputs, model.facts, model.prepare(range(4), model.request())):
        assert len(repr(thing)) < 700
        assert "\n" not in repr(thing)


def literals(tree: ast.Module) -> list[str]:
    """The texts of a module, without its docstrings and attribute docs."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in joined for part in node.values}
    texts = [ast.unparse(node) for node in joined]
    return texts + [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docs
        and id(node) not in inside
    ]


@pytest.mark.parametrize("layer", WITHOUT_OPTIONS)
def test_no_message_below_the_commands_writes_an_option_itself(layer: str) -> None:
    """`named` does; a whole command to copy, from `fastgan`, `pip` or `tritonserver` on, may have options."""
    for path in sorted((PACKAGE / layer).rglob("*.py")):
        for text in set(literals(ast.parse(path.read_text(encoding="utf-8")))) - {*KEPT}:
            bare = re.sub(r"(fastgan|pip|python|torchrun|tritonserver) .*", "", text, flags=re.S)
            assert not re.search(r"(?<![\w-])--[a-z][a-z-]+", bare), f"{path}: {text}"
