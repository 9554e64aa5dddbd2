"""`fastgan.bench`: rows, files and tables of `fastgan bench`, from Python."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import fastgan
from fastgan.__main__ import run as command
from fastgan.benchmark import suite
from fastgan.benchmark.request import Request
from fastgan.benchmark.timing import Settings
from fastgan.callbacks import Callback
from fastgan.errors import ConfigError, FastganError, OutputError

ADAIN: dict[str, Any] = {
    "device": "cpu", "names": ["adain"], "shapes": [(2, 8, 6, 6)], "dtypes": ["fp32"], "layouts": ["nchw"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timing = suite.timing

    def short(request: Request, device: str, *, section: str) -> Settings:
        usual = timing(request, device, section=section)
        return Settings(clock=usual.clock, device=device, block_s=0.0, min_rounds=2, max_rounds=2)

    monkeypatch.setattr(suite, "timing", short)
    monkeypatch.chdir(tmp_path)


class Listener(Callback):
    def __init__(self) -> None:
        self.told: list[str] = []
        self.results: Mapping[str, Any] = {}

    def event(self, step: int, kind: str, text: str) -> None:
        self.told.append(f"{kind}: {text}")

    def end(self, results: Mapping[str, Any]) -> None:
        self.results = results


def test_rows_files_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    heard = Listener()
    done = fastgan.bench("ops", **ADAIN, out="ops.json", html="ops.html", callback=heard, progress=False)
    assert capsys.readouterr() == ("", "")
    assert [(row["op"], row["shape"], row["pass"]) for row in done.rows("ops")] == [
        ("adain", [2, 8, 6, 6], "forward"),
        ("adain", [2, 8, 6, 6], "both"),
    ]
    assert json.loads(Path("ops.json").read_text()) == json.loads(json.dumps(done.document))
    assert "<html" in Path("ops.html").read_text()
    assert heard.told
    assert all(text.startswith("measure: ") and "adain" in text for text in heard.told)
    assert heard.results == {"status": "finished", "path": Path("ops.json"), "html": Path("ops.html")}
    assert repr(done).splitlines()[0] == done.words
    assert repr(done).count("| adain") == 2
    assert done._repr_html_().startswith("<table>")
    fastgan.bench("ops", **ADAIN, out="ops.json", html="ops.html")  # earlier results may be replaced


def test_the_command_prints_what_the_call_returns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = fastgan.bench("ops", **ADAIN, progress=False)
    monkeypatch.setattr(suite, "run", lambda request, progress: done.document)
    assert command(["bench", "ops", "--markdown", "-o", "x.json"]) == 0
    assert capsys.readouterr().out == f"{done!r}\nevery row: x.json\n"
    assert command(["bench", "ops", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(done.document))


def test_an_interrupted_benchmark_writes_nothing() -> None:
    class Stop(Listener):
        def event(self, step: int, kind: str, text: str) -> None:
            raise KeyboardInterrupt

    heard = Stop()
    with pytest.raises(KeyboardInterrupt):
        fastgan.bench("ops", **ADAIN, out="ops.json", callback=heard, progress=False)
    assert heard.results["status"] == "interrupted"
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"what": "opps"}, ConfigError, "what='opps' is unknown: choose one of ops, train, inference, all"),
        ({"names": ["adian"]}, ConfigError, "there is no op 'adian': choose from adain"),
        ({"shapes": [(1, 2, 3)]}, ConfigError, r"is no shape: give four sizes as in 16,256,64,64\."),
        ({"shapes": [(1, 0, 3, 3)]}, ConfigError, "shapes=0 is out of range"),
        ({"dtypes": ["fp8"]}, ConfigError, "dtypes='fp8' is unknown"),
        ({"threads": 0}, ConfigError, "threads=0 is out of range"),
        ({"batches": [1.5]}, ConfigError, r"batches=1\.5 is no whole number"),
        ({"out": "taken.txt"}, OutputError, "give `overwrite` to replace it"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    options: dict[str, Any], error: type[FastganError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("taken.txt").write_text("precious")
    with pytest.raises(error, match=words):
        fastgan.bench(**{"what": "ops"} | ADAIN | options)
    assert Path("taken.txt").read_text() == "precious"


def test_errors_carry_the_sentence_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        fastgan.bench("ops", device="cpu", names=["adian"], progress=False)
    assert command(["bench", "ops", "--device", "cpu", "--op", "adian"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"fastgan: error: {raised.value}"
