"""`fastgan.info`: the facts and the words of `fastgan info`, from Python."""

import json
from pathlib import Path

import pytest

import fastgan
from fastgan.__main__ import run as command
from fastgan.data import packed
from fastgan.errors import CheckpointError, ConfigError
from tests.metrics.sets import dataset
from tests.tiny import tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "<b>7", "dcgan", resolution=8)


def test_facts_and_table_are_those_of_the_command(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed.write(tmp_path / "x.fgd", dataset(5))
    found = [fastgan.info(run), fastgan.info(str(tmp_path / "x.fgd"))]
    assert command(["info", str(run), str(tmp_path / "x.fgd"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [json.loads(json.dumps(dict(each))) for each in found]
    assert command(["info", str(run), str(tmp_path / "x.fgd")]) == 0
    assert capsys.readouterr().out == f"{found[0]!r}\n\n{found[1]!r}\n"
    assert [each.kind for each in found] == ["checkpoint", "packed data set"]
    assert found[0].path == run
    assert found[0].config["model"]["width"] == 4
    assert found[1].config == {}


def test_a_notebook_is_shown_a_table_without_markup_of_a_name(run: Path) -> None:
    shown = fastgan.info(run)._repr_html_()
    assert shown.startswith("<table>")
    assert "&lt;b&gt;7" in shown
    assert "<b>7" not in shown
    assert "name=dcgan" in shown


def test_of_an_opened_generator(run: Path) -> None:
    assert dict(fastgan.info(fastgan.load(run))) == dict(fastgan.info(run))


def test_errors_carry_the_sentence_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckpointError) as raised:
        fastgan.info(tmp_path / "nothing.onnx")
    assert command(["info", str(tmp_path / "nothing.onnx")]) == raised.value.exit_code
    assert capsys.readouterr().err == f"fastgan: error: {raised.value}\n"
    with pytest.raises(ConfigError, match="path=3 is no path"):
        fastgan.info(3)  # type: ignore[arg-type]
