"""`fastgan data` as a user meets it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from fastgan.commands.data import command
from fastgan.data import packed
from fastgan.errors import DataError, OutputError
from tests.data.images import fill
from tests.data.test_cifar import archived, files


def run(*arguments: object):
    """The command in this process; errors that cli.py turns into a sentence come out as they are."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def pets(tmp_path):
    fill(tmp_path / "pets" / "cat", 5)
    fill(tmp_path / "pets" / "dog", 4, seed=1)
    (tmp_path / "pets" / "dog" / "broken.jpg").write_text("no image")
    return tmp_path / "pets"


def test_pack_and_info(pets, tmp_path):
    out = tmp_path / "pets.fgd"
    result = run("pack", pets, "-o", out, "--size", 8, "--max-bad", "10%")
    assert result.exit_code == 0
    assert "skipped: dog/broken.jpg (not an image in a known format)" in result.stderr
    assert "9 of 8 x 8 RGB" in result.stdout
    assert "2: cat 5, dog 4" in result.stdout
    result = run("info", out, "--verify")
    assert "the content is what was packed" in result.stdout
    facts = json.loads(run("info", out, "--json").stdout)
    assert facts["images"] == 9
    assert facts["classes"] == {"cat": 5, "dog": 4}
    assert facts["bad"] == [{"name": "dog/broken.jpg", "reason": "not an image in a known format"}]
    assert facts["content_hash"] == packed.read(out).content_hash
    assert facts["verified"] is False


def test_channels_and_sizes_that_cannot_be_trained_on(pets, tmp_path):
    result = run("pack", pets, "-o", tmp_path / "x.fgd", "--size", 12, "--channels", 1, "--max-bad", "1")
    assert "12 x 12 grey" in result.stdout
    assert "power of two" in result.stderr
    assert run("pack", pets, "-o", tmp_path / "x.fgd", "--channels", 2).exit_code == 2


ATTRIBUTES = """file,smiling,age
cat/0.png,1,20
cat/1.png,0,30.5
cat/2.png,,
dog/0.png,1,10
"""


def test_attributes_are_shown_with_what_is_unknown(pets, tmp_path):
    (pets / "attributes.csv").write_text(ATTRIBUTES)
    out = tmp_path / "pets.fgd"
    result = run("pack", pets, "-o", out, "--size", 8, "--max-bad", 1)
    assert "attributes  2: smiling 67% [67% unknown], age 20.1667 (10..30.5) [67% unknown]" in result.stdout
    assert "6 of 10 images are not in attributes.csv" in result.stderr
    assert "2: cat 5, dog 4" in result.stdout
    facts = json.loads(run("info", out, "--json").stdout)
    assert facts["attributes"] == {
        "smiling": {"mean": 0.6667, "min": 0, "max": 1, "unknown": 0.6667},
        "age": {"mean": 20.1667, "min": 10, "max": 30.5, "unknown": 0.6667},
    }
    assert "the content is what was packed" in run("info", out, "--verify").stdout


def test_an_attribute_that_nothing_is_known_of(pets, tmp_path):
    (pets / "attributes.csv").write_text("file,hat\ncat/0.png,\n")
    result = run("pack", pets, "-o", tmp_path / "x.fgd", "--size", 8, "--max-bad", 1)
    assert "attributes  1: hat unknown" in result.stdout
    facts = json.loads(run("info", tmp_path / "x.fgd", "--json").stdout)
    assert facts["attributes"] == {"hat": {"mean": None, "min": None, "max": None, "unknown": 1}}


def test_splits_kinds_and_padding(tmp_path):
    for split, count in (("train", 4), ("test", 2)):
        fill(tmp_path / "in" / split, count)
    out = tmp_path / "x.fgd"
    assert "--split all takes the rest too" in run("pack", tmp_path / "in", "-o", out).stderr
    result = run(
        "pack",
        tmp_path / "in",
        "-o",
        out,
        "--split",
        "test",
        "--fit",
        "pad",
        "--kind",
        "folder",
        "--resumable",
        "--overwrite",
    )
    assert "2 of 16 x 16 RGB" in result.stdout
    with pytest.raises(DataError, match="packed and has no splits any more"):
        run("pack", out, "-o", tmp_path / "y.fgd", "--split", "test")


def test_too_many_bad_images_write_nothing(pets, tmp_path):
    with pytest.raises(
        DataError, match=r"1 of 10 images cannot be used \(limit 1%\): dog/broken\.jpg.*--max-bad 1"
    ):
        run("pack", pets, "-o", tmp_path / "x.fgd")
    assert not (tmp_path / "x.fgd").exists()


def test_info_on_what_is_not_packed(pets, tmp_path):
    with pytest.raises(DataError, match="fastgan data pack"):
        run("info", pets)
    with pytest.raises(DataError, match="does not exist"):
        run("info", tmp_path / "none.fgd")


def test_info_of_many_bad_images_is_short(tmp_path):
    fill(tmp_path / "in", 3)
    for index in range(40):
        (tmp_path / "in" / f"bad{index}.jpg").write_text("x")
    result = run("pack", tmp_path / "in", "-o", tmp_path / "x.fgd", "--max-bad", "100%")
    assert result.stderr.count("skipped: bad") == 20
    assert "20 more" in result.stderr
    assert len(json.loads(run("info", tmp_path / "x.fgd", "--json").stdout)["bad"]) == 40


def test_avatars(tmp_path):
    pytest.importorskip("python_avatars", reason="needs the extra fastgan[demo]")
    pytest.importorskip("resvg_py", reason="needs the extra fastgan[demo]")
    result = run("avatars", "-o", tmp_path / "a.fgd", "-n", 6, "--size", 16, "--workers", 1)
    assert "6 of 16 x 16 RGB" in result.stdout
    assert result.stderr == "draw 6/6\n"
    assert "smiling" in result.stdout
    packed.verify(tmp_path / "a.fgd")
    with pytest.raises(OutputError, match=r"\.fgd"):
        run("avatars", "-o", tmp_path / "a.png", "-n", 6)


@pytest.mark.parametrize("arguments", [(), ("pack",), ("info",), ("avatars",)])
def test_help_has_an_example(arguments):
    assert "Example: fastgan data" in " ".join(run(*arguments, "--help").stdout.split())


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from fastgan.commands.data import command; command(['pack', '--help'], standalone_mode=False); "
        "print([m for m in ('torch', 'numpy', 'PIL', 'rich', 'safetensors') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip().endswith("[]")


def fastgan(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The program as installed, in a process of its own."""
    command = [sys.executable, "-m", "fastgan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_cifar_from_the_download_to_a_packed_set(tmp_path):
    folder = "cifar-10-batches-py"
    archived(files(folder), folder, tmp_path / "cifar-10-python.tar.gz")
    made = fastgan(
        "data", "pack", tmp_path / "cifar-10-python.tar.gz", "-o", tmp_path / "c.fgd", "--split", "all"
    )
    assert made.returncode == 0, made.stderr
    shown = fastgan("data", "info", tmp_path / "c.fgd", "--verify")
    assert shown.returncode == 0, shown.stderr
    for text in ("24 of 32 x 32 RGB", "10: airplane ", "truck ", "the content is what was packed"):
        assert text in shown.stdout


def test_a_malicious_cifar_is_refused(tmp_path):
    folder = "cifar-10-batches-py"
    content = {**files(folder), "test_batch": b"cos\nsystem\n(S'touch owned'\ntR."}
    archived(content, folder, tmp_path / "evil.tar.gz")
    with pytest.raises(DataError, match=r"test_batch is a pickle that wants to run os\.system"):
        run("pack", tmp_path / "evil.tar.gz", "-o", tmp_path / "e.fgd")
    assert not (tmp_path / "e.fgd").exists()


def test_errors_are_one_sentence_and_exit_code_2(tmp_path):
    found = subprocess.run(
        [
            sys.executable,
            "-m",
            "fastgan",
            "data",
            "pack",
            str(tmp_path / "none"),
            "-o",
            str(tmp_path / "x.fgd"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.strip().startswith("fastgan: error:")
    assert len(found.stderr.strip().splitlines()) == 1
