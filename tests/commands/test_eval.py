"""`fastgan eval` as a user meets it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from fastgan.cli import cli
from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash
from fastgan.errors import CheckpointError, ConfigError, DataError, FastganError, MetricError
from fastgan.training import checkpoint
from tests.metrics.sets import dataset, shapes
from tests.tiny import tiny_run


def evaluate(*arguments: object) -> Result:
    """The command in this process; errors that cli.py turns into a sentence come out as they are."""
    line = [*map(str, arguments), "--extractor", "random-conv"]
    return CliRunner().invoke(cli, ["eval", *line], catch_exceptions=False)


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0007", "stylegan")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "real.fgd"
    packed.write(path, dataset(60))
    return path


def test_a_run_gets_numbers_and_a_card(run: Path, data: Path) -> None:
    done = evaluate(run, "--data", data, "-n", 40, "--seed", 5)
    assert done.exit_code == 0
    made = json.loads((run / "eval.json").read_text())
    for name, value in made["scores"].items():
        assert name.endswith("[random-conv]")
        assert f"{value:.5g}" in done.stdout
    assert made["generated"]["seeds"] == "5-44"
    assert made["protocol"]["reference_n"] == 60
    assert "reference" in done.stdout
    assert "bilinear 64 px" in done.stdout
    assert "biased upwards" in done.stderr


def test_periodic_artefacts_are_a_score_like_others(run: Path, data: Path, tmp_path: Path) -> None:
    line = (run, "--data", data, "-n", 40, "--metrics", "periodic,kid")
    done = evaluate(*line, "--confidence", "-o", tmp_path / "a.json")
    assert done.exit_code == 0
    made = json.loads((tmp_path / "a.json").read_text())
    assert made["scores"]["periodic[pixels]"] > 0
    assert made["confidence"]["periodic[pixels]"] > 0
    assert made["protocol"]["periodic"]["window"] == "hann"
    assert "periodic[pixels]" in done.stdout


def test_features_that_a_discriminator_was_trained_on_are_warned_of(data: Path, tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run", "dcgan")
    state = checkpoint.locate(run) / "state.json"
    content = json.loads(state.read_text())
    del content["sha256"]
    state.write_text(json.dumps(content | {"features": {"name": "random-conv", "sha256": "0"}}))
    line = (run, "--data", data, "--metrics", "kid", "-n", 10)
    assert "was trained on random-conv, whose numbers flatter it" in evaluate(*line).output
    state.write_text(json.dumps(content))
    assert "flatter" not in evaluate(*line).output


def labelled(real: Dataset, labels: torch.Tensor, *names: str) -> Dataset:
    return replace(real, labels=labels, class_names=names, content_hash=content_hash(real.images, labels))


def folder_of(path: Path, images) -> Path:
    path.mkdir()
    for index, image in enumerate(images.numpy()):
        Image.fromarray(image).save(path / f"{index:03d}.png")
    return path


def test_a_folder_of_images(data: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "samples", shapes(30, seed=9))
    done = evaluate(folder, "--data", data, "--metrics", "fid")
    assert done.exit_code == 0
    made = json.loads(Path("eval.json").read_text())
    assert made["protocol"]["generated_n"] == 30
    with pytest.raises(MetricError, match="holds 30 images, and -n asks for 31"):
        evaluate(folder, "--data", data, "-n", 31)
    for option, value in (("--seed", 5), ("--truncation", 0.7)):
        with pytest.raises(MetricError, match=f"holds images that are made already: leave {option} away"):
            evaluate(folder, "--data", data, option, value)
    Image.new("RGB", (16, 20)).save(folder / "odd.png")
    with pytest.raises(MetricError, match=r"odd.png has sides of 16 and 20 px, and the real images have 16"):
        evaluate(folder, "--data", data)


def test_comparing_shows_the_change_or_refuses(run: Path, data: Path, tmp_path: Path) -> None:
    evaluate(run, "--data", data, "-n", 30, "--metrics", "kid", "-o", "old.json")
    done = evaluate(run, "--data", data, "-n", 30, "--metrics", "kid", "--seed", 100, "--compare", "old.json")
    assert done.exit_code == 0
    assert "before" in done.stdout
    for changed, words in (
        (("-n", 31), "generated_n is 30 there and 31 here"),
        (("-n", 30, "--truncation", 0.7), "truncation is 1.0 there and 0.7 here"),
    ):
        with pytest.raises(MetricError, match=words):
            evaluate(run, "--data", data, "--metrics", "kid", "--compare", "old.json", *changed)
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(MetricError, match="not a card"):
        evaluate(run, "--data", data, "--compare", "no.json")


def test_everything_at_once(run: Path, tmp_path: Path) -> None:
    real = dataset(120)
    labels = real.images.float().mean((1, 2, 3)).gt(80).long()
    packed.write("real.fgd", labelled(real, labels, "dark", "light"))
    packed.write("others.fgd", dataset(110, seed=5))
    folder = folder_of(tmp_path / "samples", torch.cat([shapes(50, seed=9), real.images[:10]]))
    done = evaluate(
        folder, "--data", "real.fgd", "--metrics", "fid,kid", "--confidence", "--baselines", "--audit",
        "--holdout", "others.fgd", "--threshold", 0.5,
    )  # fmt: skip
    assert done.exit_code == 0
    assert "fid_infinity[random-conv]" in done.stdout
    for words in ("95 %", "augmentation", "patches", "it copies training images", "110 held-out", "light "):
        assert words in done.stdout
    made = json.loads(Path("eval.json").read_text())
    assert set(range(50, 60)) <= set(made["audit"]["copies"])
    assert sum(made["similarity"]["classes"].values()) + made["similarity"]["none"] == 60
    first = made["audit"]["closest"][0]
    assert first["copy"]
    assert first["generated"].endswith(".png")
    assert first["features"]["train"].startswith("image ")  # a set that was saved without names
    assert Image.open("eval-closest.png").size == (2 * (3 * 132 + 12), 2 * 14 + 12 + 8 * (128 + 28 + 12))


def test_resemblance_is_held_against_the_class_that_was_meant(data: Path, tmp_path: Path) -> None:
    """Folders of images by class, whose images are the training images themselves: all agree."""
    real = dataset(40)
    labels = torch.arange(40) % 2
    packed.write("real.fgd", labelled(real, labels, "even", "odd"))
    for index, name in enumerate(("even", "odd")):
        (tmp_path / "samples").mkdir(exist_ok=True)
        folder_of(tmp_path / "samples" / name, real.images[labels == index][:10])
    done = evaluate("samples", "--data", "real.fgd", "--metrics", "kid", "--threshold", -1)
    assert done.exit_code == 0
    found = json.loads(Path("eval.json").read_text())["similarity"]
    assert 0.4 < found["agreement"] <= 1
    assert f"{found['agreement']:.1%} of those with a class" in done.stdout


def test_statistics_stand_for_the_images(run: Path, data: Path) -> None:
    line = (run, "-n", 30, "--metrics", "fid")
    assert (
        evaluate(*line, "--data", data, "--save-reference", "real.safetensors", "-o", "a.json").exit_code == 0
    )
    assert evaluate(*line, "--data", "real.safetensors", "--compare", "a.json", "-o", "b.json").exit_code == 0
    first, second = (json.loads(Path(f"{name}.json").read_text()) for name in "ab")
    assert first["scores"] == second["scores"]
    with pytest.raises(MetricError, match="were made without kid"):
        evaluate(run, "-n", 30, "--data", "real.safetensors")
    with pytest.raises(DataError, match="holds statistics alone"):
        evaluate(*line, "--data", "real.safetensors", "--audit")
    with pytest.raises(MetricError, match=r"the generated images are .* and the real ones uint8"):
        evaluate(tiny_run(Path("small"), "dcgan", resolution=8), *line[1:], "--data", "real.safetensors")


def test_what_needs_something_else_says_so(run: Path, data: Path) -> None:
    with pytest.raises(ConfigError, match="--holdout is for --audit"):
        evaluate(run, "--data", data, "-n", 30, "--holdout", data)
    with pytest.raises(DataError, match="has no classes for --threshold"):
        evaluate(run, "--data", data, "-n", 30, "--threshold", 0.5)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("nowhere",), CheckpointError, "nowhere does not exist"),
        (("{run}", "--metrics", "fid,kidd"), MetricError, "no metric 'kidd'"),
        (("{run}", "--device", "tpu"), ConfigError, "--device tpu is unknown"),
        (("{run}", "-n", 3), MetricError, "3 generated images, and this metric needs at least"),
    ],
)
def test_bad_input_is_one_sentence(
    run: Path, data: Path, arguments: tuple, error: type[FastganError], words: str
) -> None:
    line = [str(argument).format(run=run) for argument in arguments]
    with pytest.raises(error, match=words) as raised:
        evaluate(*line, "--data", data)
    assert "\n" not in str(raised.value)
    assert not Path("eval.json").exists()
