"""A client without Python, tests/clients/node, makes the images that fastgan's own ONNX runtime makes.

`make node-client` installs what it needs, as .ci/run does; without it these tests are skipped.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from fastgan.exporters import export_onnx
from fastgan.inference import open_generator
from fastgan.seeds import latents
from tests.tiny import tiny_run

CLIENT = Path(__file__).with_name("node")
SEEDS = (0, 1, 2, 3, 2000, 2**53 + 1, 2**64 - 1)

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js"),
    pytest.mark.skipif(
        not (CLIENT / "node_modules").is_dir(), reason="needs make node-client (npm, network)"
    ),
]


def node(*arguments: object) -> "subprocess.CompletedProcess[str]":
    line = ["node", *map(str, arguments)]
    return subprocess.run(line, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The .onnx file of a tiny model, made when first asked for."""
    root = tmp_path_factory.mktemp("node")

    def make(name: str, *, uint8: bool, **options: int) -> Path:
        path = root / f"{'-'.join([name, *options])}.onnx"
        if not path.exists():
            export_onnx(tiny_run(root / path.stem, name, **options), path, uint8=uint8)
        return path

    return make


def generated(model: Path, out: Path, *options: object, seeds: tuple[int, ...] = SEEDS) -> np.ndarray:
    """What the client makes of `seeds`: uint8 [n, H, W, C]."""
    done = node(CLIENT / "generate.mjs", model, "--seeds", ",".join(map(str, seeds)), "-o", out, *options)
    assert done.returncode == 0, done.stderr
    assert len(list(out.iterdir())) == len(seeds)
    images = [np.asarray(Image.open(out / f"seed{seed:08d}.png")) for seed in seeds]
    return np.stack([image[:, :, None] if image.ndim == 2 else image for image in images])


def assert_same_images(found: np.ndarray, expected: np.ndarray) -> None:
    """The tolerance between runtimes: one grey level, in at most one value of a thousand."""
    assert expected.std() > 30  # the comparison means something only if the images do
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-3


def test_the_same_latents_to_the_last_bit(tmp_path: Path) -> None:
    """Of 100,000 values: V8's log, cos and numpy's may differ in float64's last place, which float32 does not show."""
    script = tmp_path / "latents.mjs"
    script.write_text(
        f"import {{ latents }} from '{CLIENT / 'latents.mjs'}';\n"
        "import { writeFileSync } from 'node:fs';\n"
        f"const seeds = [{','.join(f'{seed}n' for seed in SEEDS)}];\n"
        "for (let seed = 10n; seed < 387n; seed++) seeds.push(seed * 0x9e3779b97f4a7cn);\n"
        f"writeFileSync('{tmp_path / 'z'}', latents(seeds, 263));\n"
    )
    done = node(script)
    assert done.returncode == 0, done.stderr
    seeds = [*SEEDS, *(seed * 0x9E3779B97F4A7C for seed in range(10, 387))]
    expected = latents(seeds, 263)
    assert expected.size > 100_000
    assert (tmp_path / "z").read_bytes() == expected.tobytes()


def test_dcgan(exported: Callable[..., Path], tmp_path: Path) -> None:
    model = exported("dcgan", uint8=True, img_channels=1)
    assert_same_images(generated(model, tmp_path / "out"), runtime_images(model))


def test_conditional_dcgan(exported: Callable[..., Path], tmp_path: Path) -> None:
    model = exported("dcgan", uint8=False, classes=3, attributes=2)
    asked = {"classes": "class2", "attributes": {"attribute0": 0.25, "attribute1": 1}}
    found = generated(model, tmp_path / "out", "--class", "class2", "--attrs", "attribute0=0.25,attribute1=1")
    assert_same_images(found, runtime_images(model, **asked))


def test_stylegan(exported: Callable[..., Path], tmp_path: Path) -> None:
    model = exported("stylegan", uint8=False)
    whole = generated(model, tmp_path / "whole")
    assert_same_images(whole, runtime_images(model))
    truncated = generated(model, tmp_path / "truncated", "--truncation", 0.5, "--truncation-cutoff", 2)
    assert_same_images(truncated, runtime_images(model, truncation_psi=0.5, truncation_cutoff=2))
    assert (
        np.abs(whole.astype(int) - truncated).mean() > 1
    )  # onnxruntime-node ignores inputs that have defaults


def test_conditional_stylegan(exported: Callable[..., Path], tmp_path: Path) -> None:
    model = exported("stylegan", uint8=True, classes=2, attributes=2)
    found = generated(
        model, tmp_path / "out", "--class", "class1", "--attrs", "attribute1=1", "--truncation", 0.7
    )
    # What is not named is drawn from the data by fastgan, and unknown to the client: so the graph itself is asked.
    n = len(SEEDS)
    feed = {
        "z": latents(SEEDS, 16),
        "label": np.ones(n, np.int64),
        "attributes": np.tile(np.array([np.nan, 1], np.float32), (n, 1)),
        "truncation_psi": np.array(0.7, np.float32),
    }
    assert_same_images(found, onnxruntime.InferenceSession(model).run(None, feed)[0])


def runtime_images(model: Path, **asked: object) -> np.ndarray:
    """The same seeds by fastgan's own runtime."""
    runtime = open_generator(model)
    return runtime.images(SEEDS, runtime.request(**asked))


def test_one_sentence_for_a_mistake(exported: Callable[..., Path], tmp_path: Path) -> None:
    model = exported("dcgan", uint8=False, classes=3, attributes=2)
    for arguments, said in (
        (["--class", "ship"], "no class ship: it has class0, class1, class2"),
        ([], "give --class, one of class0, class1, class2"),
        (["--class", "class0", "--attrs", "red=1"], "no attribute red: it has attribute0, attribute1"),
        (["--class", "class0", "--truncation", "0.5"], "no truncation"),
        (["--class", "class0", "--seeds", "3-"], "write it like 0-999,2000"),
        (["--class", "class0", "--seeds", str(2**64)], "out of range"),
    ):
        done = node(CLIENT / "generate.mjs", model, *arguments, "-o", tmp_path / "out")
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert said in done.stderr
    assert "cannot be read" in node(CLIENT / "generate.mjs", tmp_path / "nowhere.onnx").stderr
    assert not (tmp_path / "out").exists()
