"""`fastgan.generate` and `fastgan.verify`: the files, sentences and resumption of the command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import fastgan
from fastgan.__main__ import run as command
from fastgan.callbacks import Callback, Job
from fastgan.errors import ConfigError, IncompleteError, OutputError
from tests.inference.fakes import contents
from tests.tiny import tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0007", "stylegan", classes=3)


class Heard(Callback):
    """All that is told."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []

    def begin(self, job: Job) -> None:
        self.all.append(("begin", job.work, job.folder))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.all.append(("log", step, dict(values)))

    def event(self, step: int, kind: str, text: str) -> None:
        self.all.append((kind, text))

    def end(self, results: Mapping[str, Any]) -> None:
        self.all.append(("end", results["status"], results.get("written")))


@pytest.mark.parametrize(
    ("keywords", "options"),
    [
        ({"n": 5, "seed": 3}, ["-n", "5", "--seed", "3"]),
        (
            {"seeds": [0, 4, 2], "format": "webdataset", "per_file": 2, "classes": ["class1"]},
            ["--seeds", "0,4,2", "--format", "webdataset", "--per-file", "2", "--class", "class1"],
        ),
        ({"grid": True, "classes": "all"}, ["--grid", "--class", "all"]),
        ({"style_mix": True, "rows": [7]}, ["--style-mix", "--rows", "7"]),
    ],
)
def test_files_are_those_of_the_command(
    keywords: dict[str, Any], options: list[str], run: Path, tmp_path: Path
) -> None:
    done = fastgan.generate(run, out=tmp_path / "call", progress=False, **keywords)
    assert command(["generate", str(run), "-o", str(tmp_path / "command"), *options]) == 0
    made = contents(tmp_path / "call")
    assert made
    assert made == contents(tmp_path / "command")
    for name in ("fastgan.json", *(["manifest.jsonl"] if done.written else [])):
        assert (tmp_path / "call" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()
    assert all(path.is_file() for path in done.figures)


def test_an_open_model_makes_the_same_files_and_stays_as_it_was(run: Path, tmp_path: Path) -> None:
    model = fastgan.load(run)
    before = model.sample(2)
    first = fastgan.generate(run, n=20, out=tmp_path / "path", progress=False)
    second = fastgan.generate(model, n=20, out=tmp_path / "model", progress=False)
    assert first.written == second.written == 20
    assert contents(tmp_path / "path") == contents(tmp_path / "model")
    assert model.lanes == 1
    assert (model.sample(2) == before).all()
    with pytest.raises(ConfigError, match="`batch` says how a model is opened, and this one is open"):
        fastgan.generate(model, n=1, out=tmp_path / "other", batch=4, progress=False)


def test_the_result_says_what_was_made(run: Path, tmp_path: Path) -> None:
    done = fastgan.generate(run, n=6, format="npz", out=tmp_path / "out", progress=False)
    assert (done.written, done.seeds, done.shard, done.folder) == (6, "0-5", None, tmp_path / "out")
    assert done.seconds > 0
    assert done.images_per_second == pytest.approx(6 / done.seconds, rel=0.1)
    assert done.model["fingerprint"] == fastgan.load(run).facts.fingerprint
    assert repr(done).startswith("<6 images written in ")
    again = fastgan.generate(run, n=6, format="npz", out=tmp_path / "out", progress=False)
    assert (again.written, again.facts()["there_already"], again.images_per_second) == (0, 6, 0.0)


@pytest.mark.parametrize(
    ("keywords", "sentence", "options", "names"),
    [
        ({"n": 0}, "n=0 is impossible: give", "-n 0", {"n=0": "-n 0"}),
        ({"seed": -1, "n": 1}, "seed=-1 is out", "--seed -1 -n 1", {"seed=-1": "--seed -1"}),
        ({"seeds": "a-b"}, "'a-b' is not a seed", "--seeds a-b", {"seeds='a-b'": "--seeds a-b"}),
        (
            {"frames": 3},
            "`frames` counts those of `interpolate`",
            "--frames 3",
            {"`frames`": "--frames", "`interpolate`": "--interpolate"},
        ),
        ({"format": "gif"}, "choose one of png", "--format gif", {"format='gif'": "--format gif"}),
        ({"workers": 0}, "workers=0 is impossible", "--workers 0", {"workers=0": "--workers 0"}),
        (
            {"shard": "0/2", "overwrite": True},
            "would remove what",
            "--shard 0/2 --overwrite",
            {"`overwrite`": "--overwrite", "`out`": "--out"},
        ),
        (
            {"runtime": "torch", "precision": "any"},
            "leaves the choice to",
            "--runtime torch --precision any",
            {"precision='any'": "--precision any", "runtime='fastest'": "--runtime fastest"},
        ),
    ],
)
def test_errors_are_the_sentences_of_the_command(
    keywords: dict[str, Any],
    sentence: str,
    options: str,
    names: dict[str, str],
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ConfigError) as raised:
        fastgan.generate(run, out=tmp_path / "out", progress=False, **keywords)
    expected = str(raised.value)
    assert sentence in expected
    for in_python, on_the_line in names.items():
        assert in_python in expected
        expected = expected.replace(in_python, on_the_line)
    assert command(["generate", str(run), "-o", str(tmp_path / "out"), *options.split()]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"fastgan: error: {expected}"
    assert not (tmp_path / "out").exists()


def test_a_wrong_seed_or_model_is_one_sentence(run: Path, tmp_path: Path) -> None:
    for seeds, sentence in (
        ([1.5], "no whole number"),
        ([], "names 0 seeds"),
        (range(-2, 1), "out of range"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            fastgan.generate(run, seeds=seeds, out=tmp_path / "out", progress=False)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="model=3 is no path"):
        fastgan.generate(3, n=1, out=tmp_path / "out", progress=False)  # type: ignore[arg-type]


def test_a_callback_hears_the_work(run: Path, tmp_path: Path) -> None:
    heard = Heard()
    fastgan.generate(run, n=20, batch=16, out=tmp_path / "out", callback=heard, progress=False)
    assert heard.all[0] == ("begin", "generate", tmp_path / "out")
    assert heard.all[1][0] == "model"
    assert heard.all[2:-1] == [("log", 16, {"png": 16}), ("log", 20, {"png": 20})]
    assert heard.all[-1] == ("end", "finished", 20)


def test_an_interruption_leaves_what_the_next_call_completes(run: Path, tmp_path: Path) -> None:
    class Interrupts(Heard):
        def log(self, step: int, values: Mapping[str, float]) -> None:
            raise KeyboardInterrupt

    heard, out = Interrupts(), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        fastgan.generate(run, n=12, batch=4, out=out, callback=heard, progress=False)
    assert heard.all[-1][:2] == ("end", "interrupted")
    assert not list(out.glob(".*.part"))
    found = fastgan.verify(out, progress=False)
    assert not found.whole
    assert not found.harmed
    with pytest.raises(IncompleteError, match="give the command again"):
        found.check()
    done = fastgan.generate(run, n=12, out=out, progress=False)
    assert 0 < done.written <= 12
    assert fastgan.verify(out, progress=False).whole
    fastgan.generate(run, n=12, batch=4, out=tmp_path / "straight", progress=False)
    assert contents(out) == contents(tmp_path / "straight")


def test_verify_refuses_what_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"has no fastgan\.json"):
        fastgan.verify(tmp_path, progress=False)


def test_memory_is_kept_as_in_the_command(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastgan import allocator

    calls: list[bool] = []
    monkeypatch.setattr(allocator, "keep_memory", lambda: calls.append(True))
    fastgan.generate(run, n=1, out=tmp_path / "out", progress=False)
    assert calls == [True]


def test_a_run_stands_for_its_path(run: Path, tmp_path: Path) -> None:
    class Run:
        path = run

    assert fastgan.generate(Run(), n=1, out=tmp_path / "out", progress=False).written == 1
