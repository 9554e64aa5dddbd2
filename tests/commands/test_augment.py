"""`fastgan augment` as a user meets it: what it refuses, and how it ends."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from fastgan.commands.augment import command
from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash
from fastgan.errors import CheckpointError, ConfigError, DataError, FastganError, OutputError
from fastgan.study import desk, recipes, write
from tests.study.conftest import TINY_GAN
from tests.study.images import bars, bars_folder, bars_set

TINY = [
    "--no-transfer", "--seeds", "2", "--steps", "8", "--gan-budget", "64img", "--ratios", "1",
    "--arms", "real,synthetic x1", *(x for setting in TINY_GAN for x in ("--gan-set", setting)),
]  # fmt: skip


def augment(*arguments: object) -> Result:
    """The command in this process; errors that cli.py turns into a sentence come out as they are."""
    return CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    monkeypatch.setitem(desk.TRIALS, "cnn", desk.TRIALS["cnn"][:1])
    monkeypatch.setattr(recipes, "RECIPES", recipes.RECIPES[:1])


def test_a_folder_of_16_bit_images_ends_in_one_sentence() -> None:
    bars_folder(Path("photos"), 20, depth=16)
    done = augment("photos", *TINY, "--write", "more")
    assert done.exit_code == 0
    assert done.stdout.startswith("as given: ")
    assert "photos-augment/report.html" in done.stdout
    report = json.loads(Path("photos-augment/report.json").read_text())
    assert report["data"]["channels"] == 1
    assert report["data"]["side"] == 16
    assert len(report["cells"]) == 4
    assert {path.name for path in Path("more").iterdir()} == {"manifest.json", "lying", "square", "standing"}
    assert Image.open(next(Path("more/square").iterdir())).size == (16, 16)
    manifest = json.loads(Path("more/manifest.json").read_text())
    assert manifest["recommended"] == done.stdout.startswith("as given: Synthetic images help")
    assert manifest["recommended"] == ("does not recommend them" not in done.stdout)
    again = augment("photos", *TINY, "--write", "others")
    assert "everything is there already" in again.stderr
    assert again.stdout == done.stdout.replace("  more ", "  others ")


def test_the_verdict_is_told_even_where_there_is_nothing_to_write(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars_set(Path("bars.fgd"), 20)

    def nothing(*arguments: object, overwrite: bool) -> Path:
        raise FastganError("--write has nothing to write")

    monkeypatch.setattr(write, "write", nothing)
    with pytest.raises(FastganError, match="nothing to write"):
        command.main(["bars.fgd", *map(str, TINY), "--write", "more"], standalone_mode=False)
    assert capsys.readouterr().out.startswith("as given: ")


def test_rgba_images_and_attributes() -> None:
    found = bars(25, channels=4)
    table = torch.stack([(found.targets == 0).float(), (found.targets != 2).float()], 1)
    table[3, 1] = float("nan")
    packed.write(
        "faces.fgd",
        Dataset(
            images=found.images,
            attributes=table,
            attribute_names=("flat", "thin"),
            content_hash=content_hash(found.images, None, table),
        ),
    )
    done = augment("faces.fgd", *TINY, "--attributes", "flat,thin", "--per-class", 6, "--write", "more")
    assert done.exit_code == 0
    report = json.loads(Path("faces-augment/report.json").read_text())
    assert (report["data"]["kind"], report["data"]["channels"]) == ("attributes", 4)
    assert len(report["scenarios"][0]["arms"][0]["recall"]) == 2
    assert Path("more/attributes.csv").read_text().startswith("file,flat,thin\n")
    with pytest.raises(DataError, match=r"no classes to tell apart: it has attributes: .* --attributes flat"):
        augment("faces.fgd")
    with pytest.raises(DataError, match="no attribute 'beard': its attributes are flat, thin"):
        augment("faces.fgd", "--attributes", "beard")


def test_a_dry_run_leaves_nothing() -> None:
    bars_set(Path("bars.fgd"), 20)
    done = augment("bars.fgd", *TINY, "--per-class", "4,8", "--dry-run")
    assert "2 scenarios, 2 seeds: 8 classifiers and 4 GANs of 64img to train" in done.stderr
    assert [path.name for path in Path().iterdir()] == ["bars.fgd"]


def test_a_budget_is_kept_and_one_too_short_says_what_fits() -> None:
    bars_set(Path("bars.fgd"), 20)
    free = [x for x in TINY if x not in ("--gan-budget", "64img")]
    with pytest.raises(
        ConfigError, match=r"--budget 2s is too short: 1 scenario of 2 seeds need .*[ms] with GANs of 30"
    ):
        augment("bars.fgd", *free, "--budget", "2s")
    with pytest.raises(ConfigError, match="what fits: --seeds 2"):
        augment("bars.fgd", *free[:2], "5", *free[3:], "--seeds", "5", "--budget", "120s")
    done = augment("bars.fgd", *free, "--budget", "1h", "--dry-run")
    seconds = int(done.stderr.split("GANs of ")[1].split()[0].removesuffix("s").removesuffix("m"))
    assert 1000 < seconds < 1800
    assert not Path("bars-augment").exists()
    with pytest.raises(ConfigError, match="must be a time"):
        augment("bars.fgd", "--budget", "5kimg")


def alone(path: str) -> None:
    images, labels = bars(10).images, torch.zeros(30, dtype=torch.int64)
    packed.write(
        path,
        Dataset(
            images=images, labels=labels, class_names=("bar",), content_hash=content_hash(images, labels)
        ),
    )


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["alone.fgd"], DataError, "has the single class 'bar', and a classifier needs two"),
        (["few.fgd"], DataError, "'lying' of few.fgd has 4 images that are not copies .* needs 6"),
        (["bars.fgd", "--per-class", "50"], DataError, "--per-class 50 needs as many .* and it has 12"),
        (["bars.fgd", "--per-class", "x"], ConfigError, "--per-class x must be numbers"),
        (
            ["bars.fgd", "--seeds", "1"],
            ConfigError,
            "--seeds 1 is out of range: an interval needs 2 at least",
        ),
        (["bars.fgd", "--ratios", "0"], ConfigError, "--ratios 0 must be numbers above 0"),
        (["bars.fgd", "--leave-out", "cat"], DataError, "no class 'cat' to leave out"),
        (
            ["bars.fgd", "--test", "bars.fgd"],
            DataError,
            "60 of 60 test images of bars.fgd are also in bars.fgd",
        ),
        (["bars.fgd", "--test", "alone.fgd"], DataError, "single class 'bar'"),
        (["bars.fgd", "--attributes", "hat"], DataError, "has no attributes"),
        (["bars.fgd", "--arms", "gan"], ConfigError, "no arm begins so; there are real, classical"),
        (
            ["bars.fgd", "--arms", "all real", "--per-class", "5"],
            ConfigError,
            "nothing but all real images: add",
        ),
        (["bars.fgd", "--group-by", "("], ConfigError, "no regular expression"),
        (["bars.fgd", "--write", "."], OutputError, "is there already: name a new folder"),
        (["bars.fgd", "--gan-preset", "best"], ConfigError, "unknown preset 'best'"),
        (["bars.fgd", "--gan-set", "train.batches=3"], ConfigError, "unknown setting train.batches"),
        (
            ["bars.fgd", "--gan-init-from", "nowhere"],
            CheckpointError,
            "nowhere is neither a training run nor",
        ),
        (["bars.fgd", "--near", "1.0", "--size", "20"], ConfigError, "--size 20 must be a power of two"),
        (["nowhere"], DataError, "nowhere"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    arguments: list[str], error: type[FastganError], words: str
) -> None:
    bars_set(Path("bars.fgd"), 20)
    bars_set(Path("few.fgd"), 4)
    alone("alone.fgd")
    before = sorted(Path().iterdir())
    with pytest.raises(error, match=words) as raised:
        augment(*arguments, "--no-transfer", "--steps", "2")
    assert "\n" not in str(raised.value)
    assert sorted(Path().iterdir()) == before


def test_labels_that_match_no_file_are_refused() -> None:
    bars_folder(Path("photos"), 8)
    labels = [[path.relative_to("photos").as_posix(), 0] for path in Path("photos").rglob("*.png")]
    Path("photos/dataset.json").write_text(json.dumps({"labels": [*labels, ["gone.png", 1]]}))
    with pytest.raises(DataError, match=r"gone\.png"):
        augment("photos", *TINY)
