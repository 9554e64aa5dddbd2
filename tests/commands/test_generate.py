"""`fastgan generate` as a user meets it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastgan.errors import ConfigError
from fastgan.inference import open_generator
from tests.inference.fakes import names
from tests.tiny import tiny_run

Fastgan = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0007", "stylegan")


@pytest.fixture
def fastgan(tmp_path: Path) -> Fastgan:
    """Run the command line in `tmp_path`."""
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "fastgan", *map(str, arguments)]
        return subprocess.run(
            line, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
        )

    return call


def refused(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The one sentence of a refused call."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("fastgan: error: ")
    return done.stderr.splitlines()[-1]


def test_images_grid_and_manifest(run: Path, fastgan: Fastgan, tmp_path: Path) -> None:
    done = fastgan(
        "generate", run, "--seeds", "0-3,2000", "--batch", 2, "--grid", "--format", "png", "-o", "out"
    )
    assert done.returncode == 0, done.stderr
    assert "5 images written" in done.stdout
    assert "images/s" in done.stdout
    assert "stylegan 16 px, 1.5 kimg, torch on cpu" in done.stderr
    out = tmp_path / "out"
    images = {f"seed{seed:08d}.png" for seed in (0, 1, 2, 3, 2000)}
    assert names(out) == images | {"fastgan.json", "manifest.jsonl", "grid.png"}
    made = open_generator(run, batch=2).sample(4)
    np.testing.assert_array_equal(np.asarray(Image.open(out / "seed00000003.png")), made[3])
    assert Image.open(out / "grid.png").size == (48, 32)
    manifest = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert {line["file"] for line in manifest} == images

    done = fastgan("generate", run, "-n", 6, "--batch", 2, "-o", "out")
    assert "2 images written (4 were there already)" in done.stdout
    assert "truncation 1.0, now 0.7" in refused(
        fastgan("generate", run, "-n", 6, "-o", "out", "--truncation", 0.7)
    )
    assert fastgan("generate", run, "-n", 1, "-o", "out", "--truncation", 0.7, "--overwrite").returncode == 0
    assert [file.name for file in out.glob("*.png")] == ["seed00000000.png"]


def test_grid_alone(run: Path, fastgan: Fastgan, tmp_path: Path) -> None:
    done = fastgan("generate", run, "--grid")
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "generated") == {"fastgan.json", "grid.png"}
    assert Image.open(tmp_path / "generated" / "grid.png").size == (128, 128)


def test_npz(run: Path, fastgan: Fastgan, tmp_path: Path) -> None:
    done = fastgan("generate", run, "-n", 3, "--seed", 5, "--format", "npz", "--batch", 2, "-o", "out")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out" / "images.npz") as archive:
        np.testing.assert_array_equal(archive["images"], open_generator(run, batch=2).sample(3, seed=5))
        assert archive["seeds"].tolist() == [5, 6, 7]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "a-b"], "not a seed or a range"),
        (["--seeds", "1", "-n", 3], "either --seeds, or -n and --seed"),
        (["-n", 0], "from 1 to"),
        (["-n", 1, "--seed", -1], "--seed -1 is out of range"),
    ],
)
def test_bad_seeds(arguments: list[object], said: str, run: Path) -> None:
    from click.testing import CliRunner

    from fastgan.cli import cli

    with pytest.raises(ConfigError, match=said):
        CliRunner().invoke(cli, ["generate", str(run), *map(str, arguments)], catch_exceptions=False)


def test_one_sentence_for_a_mistake(run: Path, fastgan: Fastgan, tmp_path: Path) -> None:
    assert "does not exist" in refused(fastgan("generate", "runs/0008"))
    (tmp_path / "empty").mkdir()
    assert "nor a checkpoint: the folder is empty" in refused(fastgan("generate", "empty"))
    assert "empty is empty: there are no images" in refused(fastgan("generate", "--verify", "empty"))
    assert "empty is empty and has no fastgan.json" in refused(fastgan("generate", "--verify", "-o", "empty"))
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07broken")
    assert "not a whole ONNX model" in refused(fastgan("generate", "broken.onnx"))
    assert "choose one of png" in refused(fastgan("generate", run, "--format", "gif"))
    assert "at most 1048576 images" in refused(fastgan("generate", run, "-n", 2000000, "--grid"))
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("important")
    assert "--overwrite" in refused(fastgan("generate", run, "-o", "used"))
    assert not (tmp_path / "generated").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_one_sentence(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fastgan.__main__ import run as command
    from fastgan.inference import writers

    asked = ["generate", str(run), "-o", str(tmp_path / "out"), "-n"]
    assert command([*asked, "1"]) == 0
    monkeypatch.setattr(writers, "open_new", lambda path: FileIO("/dev/full", "wb"))
    assert command([*asked, "2"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("fastgan: error: ")
    assert "No space left on device" in said
    assert [file.name for file in (tmp_path / "out").glob("seed*.png")] == ["seed00000000.png"]


def test_shards_of_a_set_and_its_verification(run: Path, fastgan: Fastgan, tmp_path: Path) -> None:
    """torchrun's variables are minded without being asked; a set that is not whole does not end with 0."""
    asked = ("-n", 10, "--batch", 4, "--format", "webdataset", "--per-file", 3, "--noise", "random")
    done = fastgan("generate", run, *asked, "--shard", "1/2", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert "shard 1/2 (--shard)" in done.stderr
    assert "busy: prepare" in done.stdout
    assert "not made yet: 6 (seeds 0-5)" in (told := fastgan("generate", "--verify", "-o", "out")).stdout
    assert "give the command again" in refused(told, 3)
    done = fastgan("generate", run, *asked[:2], *asked[4:], "-o", "out")  # the batch is the folder's
    assert "6 images written (4 were there already)" in done.stdout, done.stderr
    told = fastgan("generate", "--verify", "-o", "out")
    assert (told.returncode, told.stdout) == (0, "out is whole: 10 images in 4 files.\n")
    assert "fastgan generate --verify -o out" in refused(fastgan("generate", "--verify", "out"))
    assert "noise random, now not given" in refused(fastgan("generate", run, "-n", 3, "-o", "out"))


def test_one_run_of_the_model_for_images_and_their_sheet(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from fastgan.commands.generate import command
    from fastgan.inference import Runtime

    ran: list[int] = []
    real = Runtime.launch
    monkeypatch.setattr(Runtime, "launch", lambda self, inputs: ran.append(len(inputs)) or real(self, inputs))
    asked = [str(run), "-n", "6", "--batch", "4", "--grid", "--format", "png", "-o", str(tmp_path / "o")]
    assert CliRunner().invoke(command, asked, catch_exceptions=False).exit_code == 0
    assert ran == [4, 2]
    assert Image.open(tmp_path / "o" / "grid.png").size == (48, 32)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shard", "2/2"], "shards are counted from 0, 0/2 to 1/2"),
        (["--shard", "0/2", "--overwrite"], "would remove what the other shards wrote"),
        (["--shard", "0/2", "--grid", "--format", "png"], "--grid is one sheet of all images"),
        (["--shard", "0/2", "--format", "npz"], "npz is one file"),
        (["--style-mix", "--shard", "0/2"], "--shard is for sets of images"),
        (["--workers", 0], "--workers 0 is impossible"),
        (["--noise", "loud"], "choose one of const, random, none"),
    ],
)
def test_bad_shards(arguments: list[object], said: str, run: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from fastgan.cli import cli

    asked = ["generate", str(run), "-o", str(tmp_path / "o"), *map(str, arguments)]
    with pytest.raises(ConfigError, match=said):
        CliRunner().invoke(cli, asked, catch_exceptions=False)
    assert not (tmp_path / "o").exists()
