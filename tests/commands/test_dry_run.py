"""`fastgan train --dry-run`: every setting of a run, as TOML, after a look at the images; and that the run does so."""

import re
import shlex
import tomllib

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fastgan.commands.train import command
from fastgan.errors import ConfigError, DataError, MemoryLimitError
from fastgan.training import afford

GOLDEN = """\
[model]
name = "stylegan"
resolution = 16
img_channels = 3
classes = 0
attributes = 0
conditioning = "projection"
z_dim = 512
w_dim = 512
mapping_layers = 8
mapping_lr_multiplier = 0.01
channel_multiplier = 1.0
style_mixing_prob = 0.9
w_avg_decay = 0.995
minibatch_stddev_group = 4

[discriminator]
name = "own"
features = "effnet-lite0"
size = "none"
width = 64

[loss]
name = "nonsaturating"
penalty = "r1"
penalty_weight = 10.0
penalty_weight_end = "none"
penalty_interval = 16
clip = "none"
path_length = 0.0
path_length_interval = 4
reconstruction = 0.0
reconstruction_interval = 4
auxiliary_weight = 1.0
spectral_norm = false

[data]
source = "{source}"
fit = "crop"
split = "none"
kind = "none"
mirror = false
flip_vertical = false
rotate = 0.0
scale = 0.0
conditional = "none"
max_bad = "2%"
max_pixels = "none"
holdout = 0.0

[train]
batch = 32
accumulate = 1
checkpoint_activations = false
d_steps = 1
reuse_fakes = false
lr_g = 0.002
lr_d = 0.002
lr_warmup_kimg = 0.0
lr_decay = "cosine"
lr_floor = 0.1
decay_kimg = 5.0
beta1 = 0.0
beta2 = 0.99
eps = 1e-08
init_from = ""
freeze_d = 0
tune_g = "all"
thaw_kimg = "none"
augment = "none"
ada_target = 0.6
ada_kimg = 500.0
grow_from = "none"
grow_kimg = 0.55
fade_kimg = 0.3
grow_batch = 256
reconstruction_kimg = 0.0
ema_kimg = 0.125
ema_rampup = 0.05
seed = 0
budget = "5kimg"
planned_kimg = 5.0
usual_kimg = 40.0
checkpoint_every = "250img"
keep_checkpoints = 2
grid_every = "1m"
grid_images = 64
log_every = "5s"
eval_every = "none"
eval_metrics = "kid"
eval_images = 2000
best_metric = "auto"
stop_when = ""
max_rollbacks = 2
precision = "auto"
cuda_graphs = "auto"
"""


@pytest.fixture
def photos(tmp_path):
    """photos(width, height, mode="RGB", classes=0, count=6) -> a folder."""

    def make(width, height, mode="RGB", classes=0, count=6):
        source = tmp_path / "source"
        shape = (height, width) if mode == "L" else (height, width, 3)
        pixels = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
        for k in range(count):
            folder = source / f"class{k % classes}" if classes else source
            folder.mkdir(exist_ok=True, parents=True)
            Image.fromarray(pixels[k]).save(folder / f"{k}.png")
        return source

    return make


def dry(*args):
    result = CliRunner().invoke(command, [*map(str, args), "--dry-run"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    said = [line.removeprefix("# ") for line in lines if line.startswith("#")]
    return said, "".join(f"{line}\n" for line in lines if not line.startswith("#"))


def test_dry_run_prints_everything_and_does_nothing(photos, tmp_path, monkeypatch):
    source = photos(18, 16)
    monkeypatch.chdir(tmp_path)
    args = [source, "--preset", "stylegan", "--budget", "5kimg", "--max-bad", "2%"]
    said, text = dry(*args, "--set", "train.checkpoint_every=250img", "--device", "cpu")
    assert text == GOLDEN.format(source=source)
    assert said[:2] == ["6 images, 16x16x3, unconditional", "size 16 is the median side of the images"]
    assert said[2].startswith("precision ")
    assert said[3].startswith("memory: a training step takes about ")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("shape", "device_name", "args", "resolution", "channels", "classes", "why"),
    [
        (
            (1200, 1300),
            "cpu",
            [],
            64,
            3,
            0,
            "size 64 is what a CPU trains in sensible time; .*--resolution 128",
        ),
        ((1200, 1300), "cpu", ["--resolution", "128"], 128, 3, 0, None),
        ((100, 120), "cpu", [], 64, 3, 0, "size 64 is what a CPU"),
        (
            (40, 40),
            "cpu",
            [],
            32,
            3,
            0,
            "size 32 is the power of two nearest to the images' median side of 40",
        ),
        ((18, 16, "L"), "cpu", [], 16, 1, 0, "size 16 is the median side"),
        ((18, 16, "L"), "cpu", ["--set", "model.img_channels=3"], 16, 3, 0, "size 16"),
        ((16, 16, "RGB", 3), "cpu", ["--conditional", "labels"], 16, 3, 3, "size 16"),
    ],
)
def test_what_it_prints_is_what_the_run_uses(
    shape, device_name, args, resolution, channels, classes, why, photos, tmp_path
):
    source = photos(*shape)
    tiny = [
        "--set",
        "model.width=2",
        "--set",
        "train.batch=2",
        "--set",
        "train.grid_images=4",
        "--budget",
        "2img",
    ]
    tiny += ["--set", "train.precision=fp32", "--set", "train.augment=none"]
    said, text = dry(source, *args, *tiny, "--device", device_name)
    model = tomllib.loads(text)["model"]
    assert (model["resolution"], model["img_channels"], model["classes"]) == (resolution, channels, classes)
    assert f"{resolution}x{resolution}x{channels}, " in said[0]
    assert ("conditional on 3 classes" in said[0]) == bool(classes)
    run = tmp_path / "run"
    result = CliRunner().invoke(
        command,
        [*map(str, [source, *args, *tiny, "--device", device_name, "--out", run])],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    assert (run / "config.toml").read_text() == text
    sizes = [line for line in said if line.startswith("size")]
    assert len(sizes) == (why is not None)
    for line in sizes:
        assert re.search(why, line)
        assert f"note: {line}" in result.output


@pytest.mark.parametrize(
    ("args", "error", "sentence"),
    [
        (
            ["--conditional", "labels"],
            ConfigError,
            "data.conditional = 'labels' needs labels, and these images have none",
        ),
        (["--conditional", "attributes"], ConfigError, "needs attributes"),
        (["--split", "val"], DataError, "has no official splits"),
        (["--kind", "cifar"], DataError, "is not"),
        (
            ["--set", "train.batch=1000000000"],
            MemoryLimitError,
            "a training step of 1000000000 images would take about",
        ),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_it_refuses_what_the_run_would_refuse(args, error, sentence, dry_run, photos, tmp_path, monkeypatch):
    source = photos(16, 16)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(afford, "available_memory", lambda: 2**31)
    result = CliRunner().invoke(command, [str(source), *args, *(["--dry-run"] if dry_run else [])])
    assert isinstance(result.exception, error), result.output
    assert sentence in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]  # nothing is packed before


def test_the_command_that_fits_is_ready_to_copy(photos, tmp_path, monkeypatch):
    source = photos(16, 16).rename(tmp_path / "my photos")
    monkeypatch.setattr(afford, "available_memory", lambda: 2**31)
    args = [
        str(source),
        "--preset",
        "dcgan",
        "--set",
        "train.batch=1000000000",
        "--set",
        "train.seed=3",
        "--dry-run",
    ]
    error = CliRunner().invoke(command, args).exception
    line = str(error).rpartition("GiB: ")[2]
    words = shlex.split(line)
    assert words[:2] == ["fastgan", "train"]
    assert words[2] == str(source)
    assert "train.batch=1000000000" not in words
    _, text = dry(*words[2:-3], *words[-3:], "--device", "cpu")
    settings = tomllib.loads(text)["train"]
    assert 1 <= settings["batch"] < 10**9
    assert settings["seed"] == 3


def test_what_cannot_be_read_is_counted(photos):
    source = photos(16, 16)
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    said, _ = dry(source, "--device", "cpu", "--max-bad", "1")
    assert said[0].startswith("6 images, and 1 that cannot be read, 16x16x3")
