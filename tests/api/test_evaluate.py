"""`fastgan.evaluate`: the card of `fastgan eval`, from Python."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import fastgan
from fastgan.__main__ import run as command
from fastgan.callbacks import Callback, Job
from fastgan.data import open_dataset, packed
from fastgan.errors import CheckpointError, ConfigError, DataError, FastganError, MetricError, OutputError
from tests.metrics.sets import dataset
from tests.tiny import tiny_run

SCORES = {"fid": 1.5, "kid[a]": 0.25, "kid[b]": 0.5}
CARD = {
    "scores": SCORES,
    "protocol": {
        "extractor": "a", "extractor_sha256": "0" * 64, "resizer": "none", "pixel_range": "0..1",
        "reference_sha256": "1" * 64, "reference_n": 9, "image_shape": [8, 8, 3], "generated_n": 7, "truncation": 1.0,
    },
    "generated": {}, "versions": {"fastgan": "<1>"}, "warnings": ["few"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tiny_run(tmp_path / "0007", "stylegan")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "real.fgd"
    packed.write(path, dataset(110))
    return path


def evaluate(source: Any, data: Any, **options: Any) -> fastgan.Card:
    given = {"extractor": "random-conv", "progress": False, "metrics": "fid,kid", "n": 30} | options
    return fastgan.evaluate(source, data=data, **given)


class Listener(Callback):
    def __init__(self) -> None:
        self.job: Job | None = None
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.results: Mapping[str, Any] = {}

    def begin(self, job: Job) -> None:
        self.job = job

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.logged.append((step, dict(values)))

    def end(self, results: Mapping[str, Any]) -> None:
        self.results = results


def test_card_and_table_are_those_of_the_command(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["eval", str(run), "--data", str(data), "--extractor", "random-conv", "-n", "30"]
    everything = [
        "--metrics",
        "fid,kid,ppl",
        "--seed",
        "5",
        "--truncation",
        "0.7",
        "--confidence",
        "--baselines",
    ]
    assert command([*line, *everything, "--audit", "-o", "a.json"]) == 0
    said = capsys.readouterr()
    card = evaluate(
        run, str(data), metrics=["fid", "kid", "ppl"], seed=5, truncation_psi=0.7, confidence=True, baselines=True,
        audit=True, out="b.json",
    )  # fmt: skip
    assert capsys.readouterr() == ("", "")  # progress=False
    assert card.path == Path("b.json")
    assert Path("b.json").read_bytes() == Path("a.json").read_bytes().replace(b"a-closest", b"b-closest")
    assert f"{card!r}\n" == said.out.replace("a-closest", "b-closest")
    assert Path("b-closest.png").read_bytes() == Path("a-closest.png").read_bytes()
    for warning in card.warnings:
        assert f"note: {warning}\n" in said.err


def test_what_was_scored_may_be_given_in_several_forms(run: Path, data: Path) -> None:
    @dataclass
    class Run:
        path: Path

    by_path = evaluate(run, data)
    assert by_path.path == run / "eval.json"
    written = (run / "eval.json").read_bytes()
    assert evaluate(Run(run), data).path == run / "eval.json"
    assert (run / "eval.json").read_bytes() == written
    opened = evaluate(fastgan.load(run), open_dataset(data))
    assert opened.content == by_path.content
    assert opened.path is None
    assert sorted(path.name for path in Path().iterdir()) == ["0007", "cache"]


def test_a_comparison_stands_beside(run: Path, data: Path) -> None:
    evaluate(run, data, out="old.json")
    card = evaluate(run, data, seed=100, compare="old.json")
    assert card.before == json.loads(Path("old.json").read_text())["scores"]
    assert repr(card).splitlines()[0].split() == ["value", "before", "change"]
    with pytest.raises(MetricError, match="generated_n is 30 there and 31 here"):
        evaluate(run, data, n=31, compare="old.json")


def test_an_audit_without_a_card_draws_nothing(run: Path, data: Path) -> None:
    card = evaluate(fastgan.load(run), data, audit=True)
    assert "copies" in card.content["audit"]
    assert "closest.png" not in card.content["audit"]["sentence"]
    assert not list(Path().glob("*.png"))


def test_scores_are_found_by_the_name_of_the_metric_alone() -> None:
    card = fastgan.Card(CARD)
    assert dict(card) == card.scores == SCORES
    assert (card["fid"], card["kid[b]"]) == (1.5, 0.5)
    assert "fid" in card
    with pytest.raises(KeyError, match=r"kid: there are kid\[a\], kid\[b\]"):
        card["kid"]
    with pytest.raises(KeyError, match=r"is: there are fid, "):
        card["is"]
    shown = card._repr_html_()
    assert shown.startswith("<table>")
    assert "&lt;1&gt;" in shown
    assert "note: few" in shown


def test_a_callback_hears_of_images_and_scores(run: Path, data: Path) -> None:
    heard = Listener()
    card = evaluate(run, data, callback=heard)
    assert heard.job is not None
    assert (heard.job.work, heard.job.folder, heard.job.settings["n"]) == ("evaluate", run, 30)
    assert heard.logged[-2:] == [(30, {"generated": 30}), (30, card.scores)]
    assert heard.results == {"status": "finished", "scores": card.scores, "path": run / "eval.json"}


def test_an_interrupted_evaluation_leaves_nothing(run: Path, data: Path) -> None:
    class Stop(Listener):
        def log(self, step: int, values: Mapping[str, float]) -> None:
            raise KeyboardInterrupt

    heard = Stop()
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, data, out="card.json", audit=True, callback=heard)
    assert heard.results["status"] == "interrupted"
    assert {path.name for path in Path().iterdir()} <= {"0007", "cache"}


def test_errors_carry_the_sentence_of_the_command(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["eval", str(run), "--data", str(data), "--extractor", "random-conv", "--holdout", str(data)]
    assert command(line) == 2
    said = capsys.readouterr().err.removeprefix("fastgan: error: ").rstrip()
    with pytest.raises(ConfigError) as raised:
        evaluate(run, data, holdout=data)
    assert said == "--holdout is for --audit and for --metrics cas: give one of them too, or leave it away."
    assert str(raised.value) == (
        "`holdout` is for `audit` and for metrics='cas': give one of them too, or leave it away."
    )


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"source": "nowhere"}, CheckpointError, "nowhere does not exist"),
        ({"source": 3}, ConfigError, "source=3 is no path"),
        ({"data": None}, ConfigError, "data=None is no path"),
        ({"n": 1}, ConfigError, "n=1 is out of range"),
        ({"n": 2.5}, ConfigError, "n=2.5 is no whole number"),
        ({"metrics": "fid,kidd"}, MetricError, "no metric 'kidd'"),
        ({"metrics": [1]}, ConfigError, "metrics=1 is no name"),
        ({"device": "tpu"}, ConfigError, "device='tpu'"),
        ({"threshold": float("nan")}, ConfigError, "threshold=nan is out of range"),
        ({"threshold": 0.5}, DataError, "has no classes for `threshold`"),
        ({"out": "taken.txt"}, OutputError, "give `overwrite` to replace it"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    options: dict[str, Any], error: type[FastganError], words: str, run: Path, data: Path
) -> None:
    Path("taken.txt").write_text("precious")
    with pytest.raises(error, match=words) as raised:
        evaluate(**{"source": run, "data": data} | options)
    assert "\n" not in str(raised.value)
    assert Path("taken.txt").read_text() == "precious"


def test_an_opened_generator_and_an_open_set_have_their_sizes(run: Path, data: Path) -> None:
    with pytest.raises(ConfigError, match="is opened in batches of 16: leave `batch` away"):
        evaluate(fastgan.load(run), data, batch=4)
    with pytest.raises(
        DataError, match=r"has images of 32 px with 3 channels, and those .* have 16 px and 3"
    ):
        evaluate(run, dataset(10, size=32))
