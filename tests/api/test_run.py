"""`fastgan.Run`: a run folder as Python sees it."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import fastgan
from fastgan.commands.train import command
from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash
from fastgan.errors import CheckpointError, OutputError
from fastgan.training import folder
from fastgan.training.settings import RunConfig


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A run of the command, and the document that it printed."""
    place = tmp_path_factory.mktemp("runs")
    pixels = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8)
    packed.write(place / "set.fgd", Dataset(images=pixels, content_hash=content_hash(pixels)))
    settings = {"model.width": 2, "train.batch": 4, "train.grid_images": 4, "train.precision": "fp32"}
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    asked = [
        place / "set.fgd",
        "--out",
        place / "run",
        "--budget",
        "16img",
        "--device",
        "cpu",
        *sets,
        "--json",
    ]
    done = CliRunner().invoke(command, [*map(str, asked)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return place / "run", json.loads(done.stdout)


def test_its_facts_are_what_the_command_prints(trained: tuple[Path, dict[str, object]]) -> None:
    path, printed = trained
    run = fastgan.Run(path)
    facts = {key: str(value) if isinstance(value, Path) else value for key, value in run.facts.items()}
    assert facts == printed
    assert run.cur_nimg == 16
    assert (run.config.train.batch, run.config.model.name) == (4, "swift")
    assert [line["cur_nimg"] for line in run.history] == [16]
    assert {"loss_d", "loss_g", "img_per_s"} <= run.history[0].keys()
    assert run.metrics == {}
    assert run.best is None


def test_it_opens_what_is_in_it(trained: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    run = fastgan.Run(trained[0])
    assert run.generator is run.generator
    assert run.generator.sample(2, seed=0).shape == (2, 16, 16, 3)
    assert (fastgan.load(run).sample(2, seed=0) == run.generator.sample(2, seed=0)).all()
    assert run.grid().size == (32, 32)
    page = run.report()
    assert page == run.path / "report.html"
    assert run.report() == page  # an earlier report is replaced
    assert run.report(tmp_path / "mine.html").read_text() == page.read_text()
    (tmp_path / "notes.html").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.html is there already"):
        run.report(tmp_path / "notes.html")
    assert run.report(tmp_path / "notes.html", overwrite=True).stat().st_size > 1000


def test_it_shows_itself(trained: tuple[Path, dict[str, object]]) -> None:
    run = fastgan.Run(trained[0] / "checkpoints" / "000000016")
    assert run.path == trained[0]
    assert repr(run) == f"Run({str(run.path)!r}: 0.016 kimg of 16img)"
    html = run._repr_html_()
    assert "cur_nimg" in html
    assert 'src="data:image/' in html


def test_metrics_are_the_last_of_each(tmp_path: Path) -> None:
    folder.write_config(tmp_path, RunConfig())
    lines = [
        {"cur_nimg": 8, "kid[a]": 3.0, "fid[a]": 7.0, "loss_d": 1.0},
        {"cur_nimg": 16, "kid[a]": 2.0, "r_t": 0.1},
        {"cur_nimg": 24, "loss_d": float("nan")},
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (tmp_path / "log.jsonl").write_text(f'{text}{{"cur_nimg": 3')  # being written
    run = fastgan.Run(tmp_path)
    assert run.metrics == {"kid[a]": 2.0, "fid[a]": 7.0}
    assert run.history[-1] == {"cur_nimg": 24}


def test_a_run_that_has_only_begun_has_nothing_yet(tmp_path: Path) -> None:
    folder.write_config(tmp_path, RunConfig())
    run = fastgan.Run(tmp_path)
    assert (run.cur_nimg, run.history, run.best) == (0, [], None)
    assert run.facts["checkpoint"] is None
    assert "cur_nimg" in run._repr_html_()
    with pytest.raises(CheckpointError, match="has drawn no samples yet"):
        run.grid()
    with pytest.raises(CheckpointError, match="nothing to show yet"):
        run.report()
    with pytest.raises(CheckpointError):
        _ = run.generator


def test_a_run_stays_where_it_is(
    trained: tuple[Path, dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained[0].parent)
    run = fastgan.Run(trained[0].name)
    assert repr(run).startswith(f"Run({trained[0].name!r}: ")
    monkeypatch.chdir(tmp_path)
    assert run.history
    assert run.generator.sample(1).shape == (1, 16, 16, 3)
    assert repr(run).startswith(f"Run({str(trained[0])!r}: ")


def test_what_is_no_run_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(CheckpointError, match=r"is no training run: it holds no config\.toml"):
            fastgan.Run(path)


def test_a_grid_that_is_damaged_is_one_sentence(tmp_path: Path) -> None:
    folder.write_config(tmp_path, RunConfig())
    (tmp_path / "grids").mkdir()
    (tmp_path / "grids" / "000000008.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    with pytest.raises(CheckpointError, match=r"000000008\.png cannot be shown"):
        fastgan.Run(tmp_path).grid()
    Image.new("L", (4, 4)).save(tmp_path / "grids" / "000000016.png")
    assert fastgan.Run(tmp_path).grid().mode == "L"
