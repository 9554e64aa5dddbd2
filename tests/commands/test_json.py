"""--json is the same everywhere: one document on standard output, also of a failure; the exit code says which."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from fastgan.__main__ import run
from fastgan.benchmark import suite
from fastgan.cli import cli
from fastgan.commands import _document
from fastgan.data import pack
from tests.data.images import fill
from tests.inference.fakes import write
from tests.tiny import tiny_run


class Ran:
    """What a command printed and ended with."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self) -> Any:
        """Standard output, all of it."""
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: object) -> Ran:
        code = run([*map(str, arguments)])
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return call


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("runs") / "0007", "stylegan")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    fill(folder / "set", 12)
    pack(folder / "set", folder / "photos.fgd", resolution=16, channels=3)
    return folder


def leaves(group: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(group, click.Group):
        return [(path, group)]
    context = click.Context(group)
    names = group.list_commands(context)
    return [leaf for name in names for leaf in leaves(group.get_command(context, name), (*path, name))]


def test_every_command_has_it() -> None:
    for path, leaf in leaves(cli):
        (option,) = (p for p in leaf.params if p.name == "as_json")
        assert (option.opts, option.is_flag) == (["--json"], True), path


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "nowhere"],
        ["generate"],
        ["generate", "--nonsense"],
        ["eval", "nowhere", "--data", "x.fgd"],
        ["export", "nowhere", "--onnx", "x.onnx"],
        ["data", "pack", "nowhere", "-o", "x.fgd"],
        ["data", "info", "nowhere.fgd"],
        ["info", "nowhere"],
        ["report", "nowhere"],
        ["bench", "ops", "--op", "adian"],
        ["train"],
        ["train", "nowhere"],
        ["train", "--resume", "nowhere"],
        ["augment", "nowhere"],
        ["dokter"],
    ],
    ids=" ".join,
)
def test_a_mistake_is_a_document_too(arguments: list[str], command: Any) -> None:
    ran = command(*arguments, "--json")
    assert ran.code == 2
    assert ran.document.keys() == {"error"}
    assert f"fastgan: error: {ran.document['error']}\n" == ran.err.splitlines(keepends=True)[-1]


def test_a_bug_and_an_interruption_are_documents_too(
    command: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("fastgan.doctor.examine", broken)
    with pytest.raises(RuntimeError):
        command("doctor", "--json")
    assert json.loads(capsys.readouterr().out) == {"error": "RuntimeError: ours"}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fastgan.doctor.examine", interrupted)
    ran = command("doctor", "--json")
    assert (ran.code, ran.document) == (130, {"error": "interrupted"})


def test_without_it_a_failure_prints_nothing_there(command: Any) -> None:
    assert command("generate", "nowhere").out == ""
    assert command("generate", "--", "--json").out == ""


def test_train(command: Any, photos: Path, tmp_path: Path) -> None:
    small = ("--set", "model.width=8", "--set", "train.batch=4", "--set", "train.precision=fp32")
    asked = (
        "train",
        photos / "photos.fgd",
        *small,
        "--budget",
        "16img",
        "--out",
        tmp_path / "run",
        "--device",
        "cpu",
    )
    ran = command(*asked, "--json")
    told = ran.document
    assert (ran.code, told["run"], told["cur_nimg"], told["signal"]) == (0, str(tmp_path / "run"), 16, None)
    assert (told["images"], told["resolution"], told["channels"]) == (12, 16, 3)
    for file in ("generator", "grid", "checkpoint"):
        assert Path(told[file]).exists()
    assert "trained 0.016 kimg" in ran.err
    planned = command("train", photos / "photos.fgd", "--dry-run", "--json", "--device", "cpu").document
    assert planned["settings"]["model"]["resolution"] == 16


def test_generate(command: Any, model: Path, tmp_path: Path) -> None:
    ran = command("generate", model, "-n", 3, "--grid", "--format", "png", "-o", tmp_path / "out", "--json")
    told = ran.document
    assert (ran.code, told["written"], told["there_already"], told["seeds"]) == (0, 3, 0, "0-2")
    assert (told["model"]["runtime"], told["shard"]) == ("torch", None)
    assert Path(told["grid"]).is_file()
    assert "3 images written" in ran.err
    again = command("generate", model, "-n", 3, "-o", tmp_path / "out", "--json").document
    assert (again["written"], again["there_already"]) == (0, 3)
    for figure, key in (("--interpolate", "interpolation"), ("--style-mix", "style_mix")):
        asked = ("-n", 2, *(("--frames", 2, "--format", "png") if key == "interpolation" else ()))
        told = command("generate", model, *asked, figure, "-o", tmp_path / key, "--json").document
        assert told[key]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            ["-n", 64, "--format", "webdataset", "--shard", "3/16"],
            "shard 3/16 has nothing to make: 64 images in files of 1,000 are 1 file, each made by one shard alone; "
            "--per-file 4 would share them out, or start 1 shard",
        ),
        (
            ["-n", 64, "--shard", "9/16"],
            "shard 9/16 has nothing to make: 64 images in batches of 16 are 4 batches, each made by one shard alone; "
            "--batch 4 would share them out, or start 4 shards",
        ),
        (
            ["-n", 3, "--shard", "0/5"],
            "shard 0/5 has nothing to make: 3 images in batches of 16 are 1 batch, each made by one shard alone; "
            "start 1 shard",
        ),
    ],
)
def test_a_shard_without_work_says_why_and_is_no_failure(
    options: list[object], why: str, command: Any, model: Path, tmp_path: Path
) -> None:
    ran = command("generate", model, *options, "-o", tmp_path / "out", "--json")
    assert (ran.code, ran.document["written"], ran.document["note"]) == (0, 0, why)
    assert why in command("generate", model, *options, "-o", tmp_path / "out").out
    assert command("generate", "--verify", "-o", tmp_path / "out").code == 3


def test_verify_tells_incomplete_from_damaged_by_its_exit_code(command: Any, tmp_path: Path) -> None:
    verify = ("generate", "--verify", "-o", tmp_path)
    assert command(*verify).code == 2  # no set at all
    write(tmp_path, range(8))
    assert (command(*verify).code, command(*verify, "--json").document["whole"]) == (0, True)
    (tmp_path / "seed00000003.png").unlink()
    ran = command(*verify, "--json")
    assert (ran.code, ran.document["missing"], ran.document["whole"]) == (3, ["seed00000003.png"], False)
    assert "give the command again" in ran.document["error"]
    (tmp_path / "seed00000004.png").write_bytes(b"torn")
    assert command(*verify).code == 4
    ran = command(*verify, "--json")
    assert (ran.code, ran.document["damaged"]) == (4, ["seed00000004.png"])
    assert "remove the files named above" in ran.err


def test_eval(command: Any, model: Path, photos: Path, tmp_path: Path) -> None:
    asked = ("--data", photos / "photos.fgd", "--extractor", "random-conv", "--metrics", "kid", "-n", 8)
    ran = command("eval", model, *asked, "-o", tmp_path / "card.json", "--batch", 10**6, "--json")
    told = ran.document
    assert ran.code == 0
    assert told.pop("card") == str(tmp_path / "card.json")
    assert told == json.loads((tmp_path / "card.json").read_text())
    assert "kid[random-conv]" in told["scores"]
    assert "kid[random-conv]" in ran.err


def test_export(command: Any, model: Path, tmp_path: Path) -> None:
    ran = command("export", model, "--onnx", tmp_path / "m.onnx", "--triton", tmp_path / "served", "--json")
    told = ran.document
    assert (ran.code, told["triton"]) == (0, str(tmp_path / "served" / "m"))
    assert told["files"] == [
        {"file": str(tmp_path / "m.onnx"), "bytes": (tmp_path / "m.onnx").stat().st_size}
    ]
    assert {check["batch"] for check in told["checks"]} > {1}
    assert "max difference" in ran.err


def test_data(command: Any, photos: Path, tmp_path: Path) -> None:
    packed = command("data", "pack", photos / "set", "-o", tmp_path / "x.fgd", "--size", 16, "--json")
    told = command("data", "info", tmp_path / "x.fgd", "--verify", "--json")
    assert (packed.code, told.code, packed.document["images"]) == (0, 0, 12)
    assert packed.document | {"verified": True} == told.document
    content = bytearray((tmp_path / "x.fgd").read_bytes())
    content[len(content) // 2] ^= 255  # a pixel
    (tmp_path / "x.fgd").write_bytes(content)
    broken = command("data", "info", tmp_path / "x.fgd", "--verify", "--json")
    assert (broken.code, broken.document.keys()) == (4, {"error"})


def test_info_and_doctor(command: Any, model: Path) -> None:
    assert command("info", model, "--json").document[0]["kind"]
    assert command("doctor", "--json").document["findings"]


def test_bench_prints_or_writes(command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--json FILE was how bench wrote its results: it goes on as -o FILE."""
    results = {"sections": {"ops": {"rows": []}}, "value": float("nan")}
    monkeypatch.setattr(suite, "run", lambda request, progress: results)
    monkeypatch.setattr("fastgan.benchmark.report.describe", lambda document: "described")
    monkeypatch.setattr("fastgan.benchmark.report.tables", lambda what, rows: [])
    for arguments in (["ops", "--json"], ["--json", "ops"]):
        assert command("bench", *arguments).document == results | {"value": None}
    for name, arguments in {
        "a": ["ops", "--json", tmp_path / "a"],
        "b": ["ops", f"--json={tmp_path / 'b'}"],
        "c": ["--json", tmp_path / "c", "ops"],
        "d": ["ops", "-o", tmp_path / "d"],
    }.items():
        ran = command("bench", *arguments)
        assert (ran.code, ran.out.splitlines()[0]) == (0, "described")
        assert json.loads((tmp_path / name).read_text())["sections"] == results["sections"]


def test_values_that_json_has_no_word_for() -> None:
    told = _document.plain({"a": float("inf"), "b": (Path("x"), float("nan")), 3: {"c": 1.5}})
    assert told == {"a": None, "b": ["x", None], "3": {"c": 1.5}}
