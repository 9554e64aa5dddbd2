"""`fastgan generate` and `export` with classes, attributes and figures, as a user meets them."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.inference.fakes import names
from tests.labelled import fastgan, known, labelled_run, read_condition
from tests.tiny import tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with known():
        return labelled_run(tmp_path_factory.mktemp("runs") / "0007")


@pytest.fixture(scope="module")
def stylegan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0008", "stylegan")


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    """The one sentence of a refused call."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("fastgan: error: ")
    return done.stderr.splitlines()[-1]


def manifest(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_classes_and_attributes(run: Path, tmp_path: Path) -> None:
    asked = ("--class", "truck", "--class", "cat", "--attrs", "smiling=0,age=0.9")
    done = fastgan("generate", run, *asked, "-n", 4, "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = manifest(tmp_path / "out")
    assert [line["class"] for line in lines] == ["truck", "cat", "truck", "cat"]
    assert all(line["attributes"] == {"smiling": 0.0, "age": 0.9} for line in lines)
    image = np.asarray(Image.open(tmp_path / "out" / str(lines[1]["file"])))
    assert read_condition(image, 7) == [1, 0, 0, 0, 0.9, 1, 1]

    # What no line vouches for is made again, and its line has class and attributes.
    (tmp_path / "out" / "manifest.jsonl").write_text("")
    done = fastgan("generate", run, *asked, "-n", 5, "-o", "out", cwd=tmp_path)
    assert "5 images written" in done.stdout
    assert manifest(tmp_path / "out")[:4] == lines

    said = refused(fastgan("generate", run, "-n", 4, "-o", "out", cwd=tmp_path))
    assert "classes truck, cat, now not given" in said
    assert "attributes smiling=0, age=0.9, now not given" in said


def test_the_pointers_of_a_run_generate_what_it_does(run: Path, tmp_path: Path) -> None:
    for source, out in ((run, "a"), (run / "latest", "b")):
        done = fastgan("generate", source, "--class", "cat", "-n", 2, "-o", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert manifest(tmp_path / "a") == manifest(tmp_path / "b")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e39", "1" * 5000])
def test_attributes_are_finite(run: Path, tmp_path: Path, value: str) -> None:
    said = refused(fastgan("generate", run, "--attrs", f"age={value}", "-n", 2, cwd=tmp_path))
    assert "is no number" in said
    assert len(said) < 200
    assert not list(tmp_path.iterdir())


def test_export_then_generate_by_name(run: Path, tmp_path: Path) -> None:
    done = fastgan("export", run, "--onnx", "m.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for source, out in ((run, "a"), ("m.onnx", "b")):
        done = fastgan("generate", source, "-n", 12, "--attrs", "smiling=1", "-o", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert manifest(tmp_path / "a") == manifest(tmp_path / "b")
    assert {line["class"] for line in manifest(tmp_path / "a")} == {"cat", "dog"}
    said = refused(fastgan("generate", "m.onnx", "--interpolate", "-o", "c", cwd=tmp_path))
    assert "nothing between two classes" in said
    assert not (tmp_path / "c").exists()


def test_npz_holds_conditions(run: Path, tmp_path: Path) -> None:
    done = fastgan(
        "generate", run, "--class", "dog,truck", "-n", 3, "--format", "npz", "-o", "out", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out" / "images.npz") as archive:
        assert archive["labels"].tolist() == [1, 2, 1]
        assert archive["attributes"].shape == (3, 2)


def test_class_grid(run: Path, tmp_path: Path) -> None:
    done = fastgan("generate", run, "--class", "all", "--grid", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "its rows, from the top: cat, dog, truck" in done.stdout
    assert Image.open(tmp_path / "generated" / "grid.png").size == (64, 24)


def test_figures(stylegan: Path, tmp_path: Path) -> None:
    done = fastgan("generate", stylegan, "--style-mix", "--rows", "7,9", "-n", 3, "-o", "mix", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "seeds 7, 9 with the coarse, then middle styles of seeds 0, 1, 2" in done.stdout
    assert names(tmp_path / "mix") == {"fastgan.json", "style-mix.png"}
    done = fastgan(
        "generate", stylegan, "--interpolate", "--frames", 2, "--seeds", "3,9", "-o", "way", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "2 seeds, interpolated in styles" in done.stdout
    assert Image.open(tmp_path / "way" / "interpolation.gif").n_frames == 4
    assert (tmp_path / "way" / "interpolation.png").exists()
    assert (tmp_path / "way" / "interpolation.mp4").exists() != ("PyAV is missing" in done.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--interpolate", "--grid"], "each write a figure of its own"),
        (["--interpolate", "-n", 1], "at least two"),
        (["--interpolate", "--format", "webp"], "choose png, gif or mp4"),
        (["--interpolate", "--frames", 0], "--frames 0 is impossible"),
        (["--frames", 3], "leave --frames away"),
        (["--rows", 3], "leave --rows away"),
        (["--style-mix", "--format", "webp"], "leave --format webp away"),
        (["--style-mix", "--rows", "x"], "not a seed or a range"),
        (["--class", "cat"], "has no classes: leave --class away"),
        (["--attrs", "smiling"], "not NAME=NUMBER"),
        (["--truncation-cutoff", 7], "give a number from 0 to 6"),
    ],
)
def test_mistakes(arguments: list[object], said: str, stylegan: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from fastgan.cli import cli
    from fastgan.errors import ConfigError

    asked = ["generate", str(stylegan), "-o", str(tmp_path / "o"), *map(str, arguments)]
    with pytest.raises(ConfigError, match=said):
        CliRunner().invoke(cli, asked, catch_exceptions=False)
    assert not (tmp_path / "o").exists()


def test_unknown_names_are_one_sentence(run: Path, tmp_path: Path) -> None:
    assert "did you mean truck?" in refused(fastgan("generate", run, "--class", "truk", cwd=tmp_path))
    said = refused(fastgan("generate", run, "--attrs", "hair=1", cwd=tmp_path))
    assert "has no attribute 'hair': its attributes are smiling, age." in said
    assert list(tmp_path.iterdir()) == []
