"""`fastgan.pack`: the file and the sentences of `fastgan data pack`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import fastgan
from fastgan.__main__ import run as command
from fastgan.callbacks import Callback, Job
from fastgan.errors import DataError, OutputError
from tests.data.images import fill


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    fill(tmp_path / "pets" / "cat", 5)
    fill(tmp_path / "pets" / "dog", 4, seed=1)
    (tmp_path / "pets" / "dog" / "broken.jpg").write_text("no image")
    return tmp_path / "pets"


def test_the_file_is_that_of_the_command(pets: Path, tmp_path: Path) -> None:
    packed = fastgan.pack(pets, tmp_path / "call.fgd", resolution=8, max_bad="10%", progress=False)
    assert (len(packed), packed.resolution, packed.class_names) == (9, 8, ("cat", "dog"))
    assert [bad.name for bad in packed.bad] == ["dog/broken.jpg"]
    line = ["data", "pack", str(pets), "-o", str(tmp_path / "command.fgd"), "--size", "8", "--max-bad", "10%"]
    assert command(line) == 0
    assert (tmp_path / "call.fgd").read_bytes() == (tmp_path / "command.fgd").read_bytes()
    assert fastgan.open_dataset(tmp_path / "call.fgd").content_hash == packed.content_hash


@pytest.mark.parametrize(
    ("keywords", "error", "sentence", "options", "names"),
    [
        ({"resolution": 0}, DataError, "resolution=0 is out of range", None, {}),
        ({"fit": "squeeze"}, DataError, "fit='squeeze' is unknown: choose one of crop, pad", None, {}),
        ({}, DataError, "dog/broken.jpg", "", {"max_bad=1": "--max-bad 1", "limit 0.01": "limit 1%"}),
        (
            {"kind": "cifar", "max_bad": 5},
            DataError,
            "is not CIFAR-10",
            "--kind cifar --max-bad 5",
            {"`kind`": "--kind"},
        ),
    ],
)
def test_errors_are_the_sentences_of_the_command(
    keywords: dict[str, Any],
    error: type[Exception],
    sentence: str,
    options: str | None,
    names: dict[str, str],
    pets: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.fgd"
    with pytest.raises(error) as raised:
        fastgan.pack(pets, out, progress=False, **keywords)
    expected = str(raised.value)
    assert sentence in expected
    if options is not None:  # click refuses the others in its own words
        for in_python, on_the_line in names.items():
            assert in_python in expected
            expected = expected.replace(in_python, on_the_line)
        assert command(["data", "pack", str(pets), "-o", str(out), *options.split()]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said == "fastgan: error: " + " ".join(expected.split())
    assert not out.exists()


def test_nothing_is_replaced_unless_asked(pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.fgd"
    out.write_text("mine")
    with pytest.raises(OutputError, match="there already: choose another name, or give `overwrite`"):
        fastgan.pack(pets, out, max_bad=1, progress=False)
    assert out.read_text() == "mine"
    fastgan.pack(pets, out, max_bad=1, overwrite=True, progress=False)
    with pytest.raises(OutputError, match="which is being read"):
        fastgan.pack(out, out, resolution=8, overwrite=True, progress=False)


@pytest.mark.parametrize("resumable", [False, True])
def test_an_interruption_leaves_nothing_but_what_the_next_call_takes_up(
    resumable: bool, pets: Path, tmp_path: Path
) -> None:
    class Interrupts(Callback):
        def __init__(self) -> None:
            self.jobs: list[Job] = []
            self.ends: list[Mapping[str, Any]] = []

        def begin(self, job: Job) -> None:
            self.jobs.append(job)

        def log(self, step: int, values: Mapping[str, float]) -> None:
            raise KeyboardInterrupt

        def end(self, results: Mapping[str, Any]) -> None:
            self.ends.append(results)

    callback, out = Interrupts(), tmp_path / "sets" / "out.fgd"
    out.parent.mkdir()
    keywords: dict[str, Any] = {"max_bad": 1, "resumable": resumable, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        fastgan.pack(pets, out, callback=callback, **keywords)
    assert [job.work for job in callback.jobs] == ["pack"]
    assert callback.ends[0]["status"] == "interrupted"
    assert not out.exists()
    assert resumable or not list(out.parent.iterdir())
    packed = fastgan.pack(pets, out, **keywords)
    assert [file.name for file in out.parent.iterdir()] == ["out.fgd"]
    assert len(packed) == 9


def test_a_callback_hears_each_stage(pets: Path, tmp_path: Path) -> None:
    class Hears(Callback):
        counts: dict[str, float] = {}  # noqa: RUF012

        def log(self, step: int, values: Mapping[str, float]) -> None:
            assert [*values.values()] == [step]
            self.counts |= values

        def end(self, results: Mapping[str, Any]) -> None:
            self.results = results

    callback = Hears()
    packed = fastgan.pack(pets, tmp_path / "out.fgd", max_bad=1, callback=callback, progress=False)
    assert max(callback.counts.values()) == 10
    assert callback.results == {
        "status": "finished",
        "path": tmp_path / "out.fgd",
        "images": 9,
        "content_hash": packed.content_hash,
    }
