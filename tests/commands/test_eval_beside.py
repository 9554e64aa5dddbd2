"""`fastgan eval` with the scores that need classes or latents."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from fastgan.cli import cli
from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash
from fastgan.errors import ConfigError, DataError, MetricError
from tests.metrics.sets import dataset, shapes
from tests.tiny import tiny_run

CLASSES = ["class0", "class1"]


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(
        cli, ["eval", *map(str, arguments), "--extractor", "random-conv"], catch_exceptions=False
    )


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0009", "stylegan", classes=2)


def labelled(path: Path, n: int, *, seed: int = 0, names: list[str] = CLASSES) -> Path:
    """Dark images of class 0 and bright ones of class 1."""
    labels = torch.arange(n) % 2
    images = shapes(n, seed=seed) // 2 + 120 * labels[:, None, None, None].to(torch.uint8)
    found = content_hash(images, labels)
    packed.write(path, Dataset(images=images, content_hash=found, labels=labels, class_names=names))
    return path


def test_a_conditional_run_gets_all_of_them_and_a_card(run: Path, tmp_path: Path) -> None:
    real, held = labelled(tmp_path / "real.fgd", 80), labelled(tmp_path / "held.fgd", 40, seed=1)
    metrics = "ifid,cas,ppl,lpips-diversity"
    line = (run, "--data", real, "-n", 44, "--metrics", metrics, "--holdout", held)
    done = evaluate(*line, "-o", "a.json")
    assert done.exit_code == 0
    made = json.loads(Path("a.json").read_text())
    scores, protocol = made["scores"], made["protocol"]
    of_classes = [scores[f"ifid:{name}[random-conv]"] for name in CLASSES]
    assert scores["ifid[random-conv]"] == pytest.approx(sum(of_classes) / 2)
    assert scores["cas_real[random-conv]"] > 0.9
    assert 0.3 < scores["cas[random-conv]"] <= 1
    assert all(scores[f"ppl_{kind}[random-conv-taps]"] > 0 for kind in ("z_full", "z_end", "w_full", "w_end"))
    assert scores["lpips-diversity[random-conv-taps]"] > 0
    assert protocol["cas"]["trained_on"] == 44
    assert protocol["cas"]["tested_on"] == 40
    assert protocol["ppl"]["pairs"] == 44
    assert evaluate(*line, "-o", "b.json", "--compare", "a.json").exit_code == 0
    assert json.loads(Path("b.json").read_text())["scores"] == scores


def test_real_images_as_the_generated_ones_score_as_real_ones_do(tmp_path: Path) -> None:
    real, other = labelled(tmp_path / "real.fgd", 120), labelled(tmp_path / "other.fgd", 60, seed=1)
    assert evaluate(other, "--data", real, "--metrics", "cas,ifid", "-o", "a.json").exit_code == 0
    scores = json.loads(Path("a.json").read_text())["scores"]
    assert scores["cas[random-conv]"] > 0.9
    assert scores["cas_real[random-conv]"] > 0.9
    assert 0 < scores["ifid[random-conv]"] < 1


def test_what_cannot_be_had_is_said_in_a_sentence(run: Path, tmp_path: Path) -> None:
    real = labelled(tmp_path / "real.fgd", 80)
    packed.write(tmp_path / "plain.fgd", dataset(60))
    plain = tiny_run(tmp_path / "plain", "dcgan")

    def refused(source: Path, data: Path, metrics: str, n: int = 44) -> None:
        evaluate(source, "--data", data, "--metrics", metrics, "-n", n)

    with pytest.raises(DataError, match="has no classes, which ifid needs"):
        refused(run, tmp_path / "plain.fgd", "ifid")
    with pytest.raises(DataError, match="the generated images have no classes"):
        refused(plain, real, "cas")
    with pytest.raises(ConfigError, match="ppl is a path through a latent space with styles"):
        refused(plain, real, "ppl")
    with pytest.raises(MetricError, match=r"class 'class0' has 5 generated images, .* raise -n"):
        refused(run, real, "ifid", 10)
    with pytest.raises(DataError, match="images are of class 'class0', and the real ones have cat, dog"):
        refused(run, labelled(tmp_path / "named.fgd", 80, names=["cat", "dog"]), "ifid")
    with pytest.raises(
        MetricError, match="choose from fid, kid, is, prdc, periodic, ifid, cas, ppl, lpips-diversity"
    ):
        refused(run, real, "lpips")
    assert not (run / "eval.json").exists()
