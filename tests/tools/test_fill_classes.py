"""tools/fill_classes.py on a small labelled set, by its command line."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastgan.data import open_dataset, pack
from fastgan.inference import open_generator
from tests.tiny import tiny_run

TOOL = Path(__file__).parents[2] / "tools" / "fill_classes.py"
REAL = {"class0": 3, "class1": 1, "class2": 5}
BILLION = 10**9
Fill = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0007", "dcgan", classes=4, attributes=1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "photos"
    pixels = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), np.uint8)
    names = [f"{name}/{k}" for name, count in REAL.items() for k in range(count)]
    for name, image in zip(names, pixels, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / f"{name}.png")
    return root


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Fill:
    """Run the tool as the command line does, and return what it printed, once it ended with `code`."""
    spec = importlib.util.spec_from_file_location("fill_classes", TOOL)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fill_classes", module)
    spec.loader.exec_module(module)

    def run(*arguments: object, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["fill_classes.py", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            module.main()
        out, error = capfd.readouterr()
        assert ended.value.code == code, error
        return out, error

    return run


def manifest(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def seeds(out: Path) -> dict[str, list[int]]:
    """Seeds of what was made there, by class."""
    made = [entry for entry in manifest(out) if entry["synthetic"] and "/synthetic/" in entry["file"]]
    return {name: sorted(e["seed"] for e in made if e["class"] == name) for name in REAL}


def test_fills_what_is_lacking_goes_on_and_fills_further(
    fill: Fill, run: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "filled"
    table = fill(photos, run, "--to", 4, "-o", out, "--dry-run")[0]
    assert table.splitlines()[2].split() == ["class1", "1", "0", "3", f"{BILLION}-{BILLION + 2}"]
    assert not out.exists()

    fill(photos, run, "--to", 4, "-o", out, "--", "--batch", 2)
    expected = {"class0": [0], "class1": [BILLION, BILLION + 1, BILLION + 2], "class2": []}
    assert seeds(out) == expected
    assert not (out / "class0" / "real").exists()
    request = open_generator(run).request(classes="class1")
    image = open_generator(run, batch=2).images(expected["class1"], request)[2]
    made = Image.open(out / "class1" / "synthetic" / f"seed{BILLION + 2}.png")
    np.testing.assert_array_equal(np.asarray(made), image)

    # Stopped after a file was made and before the manifest was: only what is missing is made again.
    (out / "manifest.jsonl").unlink()
    (out / "class1" / "synthetic" / f"seed{BILLION + 1}.png").unlink()
    kept = (out / "class0" / "synthetic" / "seed00000000.png").stat().st_mtime_ns
    assert (
        "1 images written (2 were there already)"
        in fill(photos, run, "--to", 4, "-o", out, "--", "--batch", 2)[0]
    )
    assert seeds(out) == expected
    assert (out / "class0" / "synthetic" / "seed00000000.png").stat().st_mtime_ns == kept

    fill(photos, run, "--to", 6, "-o", out, "--merge")
    assert [len(some) for some in seeds(out).values()] == [3, 5, 1]
    assert open_dataset(out, resolution=16).labels.bincount().tolist() == [6, 6, 6]
    real = [entry for entry in manifest(out) if not entry["synthetic"]]
    assert len(real) == 9
    for entry in real:
        assert (out / entry["file"]).read_bytes() == (photos / entry["source"]).read_bytes()
    assert "lacks 0 now" in fill(photos, run, "--to", 3, "-o", out, code=2)[1]


def test_seeds_of_earlier_fills_are_not_used_again(
    fill: Fill, run: Path, photos: Path, tmp_path: Path
) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    fill(photos, run, "--to", 4, "-o", first, "--merge")
    # A packed set has its images' names: a fill of it knows which of them were made.
    pack(first, tmp_path / "first.fgd", resolution=16)
    fill(tmp_path / "first.fgd", run, "--to", 6, "-o", second, "--merge")
    fill(photos, run, "--to", 6, "-o", third, "--after", first, "--after", second)
    for name in REAL:
        used = [*seeds(first)[name], *seeds(second)[name], *seeds(third)[name]]
        assert len(used) == len({*used})
    kinds = [entry["file"].split("/")[1] for entry in manifest(second) if entry["class"] == "class1"]
    assert sorted(kinds) == ["earlier"] * 3 + ["real"] + ["synthetic"] * 2
    assert open_dataset(second, resolution=16).labels.bincount().tolist() == [6, 6, 6]
    assert "another --after" in fill(photos, run, "--to", 6, "-o", third, code=2)[1]


def test_mistakes_are_one_sentence(fill: Fill, run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def said(*arguments: object) -> str:
        error = fill("-o", out, *arguments, code=2)[1]
        assert error.count("\n") == 1
        return error

    narrow = tiny_run(tmp_path / "narrow", "dcgan", classes=2)
    assert "does not know the class class2: it knows class0, class1;" in said(photos, narrow, "--to", 4)
    assert "it knows none" in said(photos, tiny_run(tmp_path / "none", "dcgan"), "--to", 4)
    assert "has no classes" in said(photos / "class0", run, "--to", 4)
    assert "-n is set by fill_classes.py itself" in said(photos, run, "--to", 4, "--", "-n", 3)
    assert "does not exist" in said(tmp_path / "nowhere", run, "--to", 4)
    assert not out.exists()
    # What is for generate alone, it says: nothing is lost, and the mended command goes on.
    assert (
        "has no truncation" in fill(photos, run, "--to", 4, "-o", out, "--", "--truncation", 0.5, code=2)[1]
    )
    fill(photos, run, "--to", 4, "-o", out, "--class", "class1", "--class", "class3", code=2)
    fill(photos, run, "--to", 2, "-o", tmp_path / "new", "--class", "class1", "--class", "class3")
    assert [entry["class"] for entry in manifest(tmp_path / "new")] == ["class1", "class3", "class3"]


def test_ctrl_c_is_its_exit_code(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["fill_classes"].command, "invoke", interrupted)
    fill("run", "photos", "--out", "out", "--to", 5, code=130)
