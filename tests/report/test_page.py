"""The report: whole, self-contained, and never in the way of a run that goes on or has broken down."""

import base64
import io
import json
import re
import struct
import zlib
from html.parser import HTMLParser

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from fastgan.api.report import real_images
from fastgan.commands.report import command
from fastgan.data import packed
from fastgan.data.dataset import Dataset, content_hash
from fastgan.errors import CheckpointError, ConfigError, FastganError, OutputError
from fastgan.pages.curves import Series, bounds, label, plot, smooth, thin, ticks
from fastgan.report.page import render
from fastgan.report.read import pick, read
from fastgan.report.real import Real
from fastgan.training import folder

VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """Checks that tags nest, and gathers what a test asks about."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "0007"
    (path / "grids").mkdir(parents=True)
    (path / "checkpoints" / "000004000").mkdir(parents=True)
    (path / "config.toml").write_text(
        '[model]\nname = "dcgan"\nresolution = 16\n[data]\nsource = "/photos/<b>&co"\nmirror = false\n'
        "[train]\nlr_g = 1e-3\n"
    )
    lines = [
        {"cur_nimg": 100 * i, "seconds": i, "img_per_s": 100.0, "loss_d": 1 / i, "loss_g": 0.7, "r_t": 0.1}
        for i in range(1, 41)
    ]
    lines[19] |= {"kid[lite0]": 3.0, "diversity": 0.7, "duplicates": 0.0, "skipped": 2.0}
    lines[39] |= {"kid[lite0]": 2.0, "diversity": 0.8, "duplicates": 0.1, "loss_g": float("nan")}
    (path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    event = {"cur_nimg": 2000, "seconds": 20, "kind": "collapse", "text": "alike <script>alert(1)</script>"}
    (path / "events.jsonl").write_text(json.dumps(event) + "\n")
    for nimg in (0, 2000, 4000):
        Image.new("RGB", (32, 32), (nimg // 20, 0, 0)).save(path / "grids" / f"{nimg:09d}.png")
    state = {
        "cur_nimg": 4000,
        "seconds": 40.0,
        "precision": "fp32",
        "data": {"images": 500, "content_hash": "ab" * 32},
        "best": {"metric": "kid[lite0]", "value": 2.0, "cur_nimg": 4000},
        "machine": {"torch": "2.13.0", "device": "cpu x86_64"},
        "versions": {"python": "3.11.7"},
    }
    (path / "checkpoints" / "000004000" / "state.json").write_text(json.dumps(state))
    (path / "latest").write_text("checkpoints/000004000\n")
    return path


WRONG = [None, 5, -1, "x", [], {}, True, [[]], {"a": []}, 10**400, float("nan"), float("inf"), 1e308]


@pytest.mark.parametrize(
    "key", ["cur_nimg", "seconds", "precision", "data", "best", "machine", "versions", "stopped"]
)
def test_a_state_that_says_nonsense_still_gives_a_page(run, key):
    path = run / "checkpoints" / "000004000" / "state.json"
    whole = json.loads(path.read_text())
    inner = whole[key] if isinstance(whole.get(key), dict) else {}
    for value in WRONG:
        for changed in (value, *({**inner, name: value} for name in inner)):
            path.write_text(json.dumps(whole | {key: changed}))
            Page(render(read(run)))


@pytest.mark.parametrize("name", ["log.jsonl", "events.jsonl"])
def test_lines_that_say_nonsense_are_left_out(run, name):
    path = run / name
    whole = path.read_bytes()
    bad = [b"\xff", b"[" * 10**5, b"null", b"5", b'{"cur_nimg": "5"}', b'{"cur_nimg": 1e400, "kind": 5}']
    path.write_bytes(b"\n".join(bad) + b"\n" + whole)
    assert len(getattr(read(run), {"log.jsonl": "lines", "events.jsonl": "events"}[name])) == whole.count(
        b"\n"
    )
    for value in WRONG:
        line = {
            "cur_nimg": 4100,
            "seconds": value,
            "loss_d": value,
            "kind": value,
            "text": value,
            "new": value,
        }
        path.write_bytes(whole + json.dumps(line).encode() + b"\n")
        Page(render(read(run)))


def test_settings_that_are_no_tables_are_named(run):
    (run / "config.toml").write_text("model = 5\n")
    with pytest.raises(FastganError, match=r"config\.toml: model should be a table"):
        read(run)


def test_a_grid_too_large_to_be_one_is_left_out(run):
    header = b"IHDR" + struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (run / "grids" / "000002000.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    page = Page(render(read(run)))
    assert page.count("img") == 2


def test_everything_is_there_and_inside(run):
    html = render(read(run))
    page = Page(html)
    assert page.count("img") == 3
    assert all(a["src"].startswith("data:image/") for tag, a in page.tags if tag == "img")
    assert not any({"src", "href"} & a.keys() for tag, a in page.tags if tag in ("script", "link", "a"))
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html)
    assert "url(" not in html
    text = " ".join(page.texts)
    for wanted in ("kid[lite0]", "Losses", "Diversity of the samples", "Speed", "Steps skipped", "collapse"):
        assert wanted in text
    for wanted in (
        "4,000",
        "0:40",
        "best kid[lite0]",
        "2 at 4,000",
        "2.13.0",
        "lr_g",
        "0.001",
        "ab" * 32,
        "not running",
    ):
        assert wanted in text
    assert page.count("svg") == 6


def test_what_others_wrote_is_text_and_no_markup(run):
    html = render(read(run))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "/photos/&lt;b&gt;&amp;co" in html


def test_a_run_that_goes_on_or_was_killed_is_read_as_far_as_it_is_whole(run):
    with open(run / "log.jsonl", "a") as log:
        log.write('garbage\n{"cur_nimg": 4100, "loss_d": 0.5, "lo')
    (run / "grids" / "000004100.png").write_bytes((run / "grids" / "000004000.png").read_bytes()[:30])
    (run / "latest").write_text("checkpoints/000009999\n")
    with folder.locked(run):
        found = read(run)
        assert found.active
        page = Page(render(found))
    assert "training now" in page.texts
    assert page.count("img") == 3
    assert len(found.lines) == 40
    assert found.state == {}
    assert not read(run).active


def test_a_run_with_pictures_or_curves_alone_has_a_page(run):
    (run / "log.jsonl").unlink()
    assert Page(render(read(run))).count("svg") == 0
    for grid in (run / "grids").iterdir():
        grid.unlink()
    (run / "log.jsonl").write_text('{"cur_nimg": 8, "loss_d": 1.0}\n')
    assert Page(render(read(run))).count("svg") == 1


def test_runs_with_nothing_to_show_are_one_sentence(run, tmp_path):
    with pytest.raises(CheckpointError, match=r"is no training run: it holds no config\.toml"):
        read(tmp_path)
    (run / "log.jsonl").unlink()
    for grid in (run / "grids").iterdir():
        grid.unlink()
    with pytest.raises(CheckpointError, match=r"has nothing to show yet: neither a line in log.jsonl nor"):
        read(run)
    (run / "log.jsonl").write_text('{"cur_nimg": 8, "loss_d": 1.0}\n')
    (run / "config.toml").write_text("[model\n")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        read(run)


def test_the_command_writes_one_file(run, tmp_path):
    result = CliRunner().invoke(command, [str(run)], catch_exceptions=False)
    assert result.exit_code == 0
    assert str(run / "report.html") in result.output
    assert Page((run / "report.html").read_text()).count("html") == 1
    other = tmp_path / "new" / "monday.html"
    assert CliRunner().invoke(command, [str(run), "-o", str(other)]).exit_code == 0
    assert other.exists()
    assert isinstance(CliRunner().invoke(command, [str(run), "-o", str(run)]).exception, OutputError)


def test_large_grids_are_made_smaller_and_many_thinned(run):
    Image.new("RGB", (3000, 1500)).save(run / "grids" / "000005000.png")
    assert len(render(read(run))) < 200_000
    paths = [run / f"{i}.png" for i in range(1000)]
    chosen = pick(paths, 60)
    assert len(chosen) == 60
    assert (chosen[0], chosen[-1]) == (paths[0], paths[-1])
    assert pick(paths[:3], 60) == paths[:3]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-1, 1, [-1, -0.5, 0, 0.5, 1]), (0.93, 0.99, [0.94, 0.96, 0.98])],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.2, "0.2"), (0, "0"), (0.30000000000000004, "0.3"), (12_000, "12k"), (3e-5, "3e-05"), (1500, "1,500")],
)
def test_labels_are_short(value, text):
    assert label(value) == text


def test_curves_keep_their_shape():
    points = [(float(i), float(i)) for i in range(10_000)]
    assert len(thin(points)) == 400
    assert thin(points)[0] == (12.0, 12.0)
    assert smooth([(float(i), 3.0) for i in range(100)])[-1][1] == pytest.approx(3.0)
    spiked = [(float(i), 1.0 + 0.01 * (i % 7)) for i in range(200)]
    spiked[50] = (50.0, 1e6)
    assert bounds([Series("loss", spiked)])[3] < 2
    for series in ([(1.0, 2.0)], [(1.0, 2.0), (1.0, 2.0)], [(0.0, -5.0), (1.0, 5.0)]):
        svg = plot([Series("x", series)], [(0.5, 'a "mark"')])
        assert "nan" not in svg
        assert svg.startswith("<svg")


def saved(path, seed=0, channels=3):
    """A packed set of 100 images; its hash."""
    images = torch.randint(0, 256, (100, 16, 16, channels), dtype=torch.uint8, generator=generator(seed))
    dataset = Dataset(images=images, content_hash=content_hash(images))
    packed.write(path, dataset)
    return dataset


def generator(seed):
    return torch.Generator().manual_seed(seed)


def trained_on(run, content):
    state = json.loads((run / "checkpoints" / "000004000" / "state.json").read_text())
    state["data"]["content_hash"] = content
    (run / "checkpoints" / "000004000" / "state.json").write_text(json.dumps(state))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_training_images_stand_beside_the_samples(run, channels):
    dataset = saved(run / "data.fgd", channels=channels)
    trained_on(run, dataset.content_hash)
    result = CliRunner().invoke(command, [str(run)], catch_exceptions=False)
    assert result.exit_code == 0
    page = Page((run / "report.html").read_text())
    assert page.count("img") == 4
    (sheet,) = (a for tag, a in page.tags if tag == "img" and a["alt"] == "training images")
    assert "64 of 100, drawn at random from data.fgd" in page.texts
    with Image.open(io.BytesIO(base64.b64decode(sheet["src"].split(",")[1]))) as image:
        assert image.size == (128, 128)
    assert (run / "report.html").stat().st_size < 10**6
    real = real_images(read(run)).images
    assert len({row.tobytes() for row in real} & {row.numpy().tobytes() for row in dataset.images}) == 64


def test_why_there_are_no_training_images_is_said(run):
    def words():
        found = read(run)
        page = Page(render(found, real_images(found)))
        assert page.count("img") == 3
        return " ".join(page.texts)

    assert "not shown: the packed set that the run read is not there any more" in words()
    trained_on(run, "cd" * 32)
    dataset = saved(run / "data.fgd")
    assert "data.fgd holds other images now than the run was trained on" in words()
    trained_on(run, dataset.content_hash)
    (run / "data.fgd").write_bytes((run / "data.fgd").read_bytes()[:50])
    assert "not shown: they cannot be read (" in words()


def test_training_images_without_samples_are_shown_and_large_ones_made_smaller(run):
    for grid in (run / "grids").iterdir():
        grid.unlink()
    pixels = torch.randint(0, 256, (64, 256, 256, 3), dtype=torch.uint8, generator=generator(0)).numpy()
    html = render(read(run), Real("64 of <64>", pixels))
    assert Page(html).count("img") == 1
    assert "64 of &lt;64&gt;" in html
    assert len(html) < 4_000_000
    assert "Training images" not in render(read(run))
