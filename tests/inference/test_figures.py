"""Figures: ways between seeds, and styles mixed as in the paper."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastgan.errors import ConfigError
from fastgan.inference import figures, open_generator, pipeline, video
from fastgan.inference.conditions import Request
from fastgan.inference.figures import Walk, bands, slerp
from fastgan.inference.folder import OutputFolder
from fastgan.inference.grid import sheet_columns
from fastgan.inference.video import FRAME_RATE, check_movie, open_movie
from fastgan.seeds import latents
from tests.labelled import known, labelled_run, read_condition

HAS_AV = importlib.util.find_spec("av") is not None


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    with known():
        yield


def ignore(_: int) -> None:
    pass


def cells(path: Path, side: int) -> np.ndarray:
    """[rows, columns, side, side, 3] of a sheet without gaps."""
    sheet = np.asarray(Image.open(path).convert("RGB"))
    rows, columns = sheet.shape[0] // side, sheet.shape[1] // side
    return sheet.reshape(rows, side, columns, side, 3).swapaxes(1, 2)


def near(a: np.ndarray, b: np.ndarray) -> None:
    """Equal but for the order of sums at another batch size."""
    assert np.abs(a.astype(int) - b).max() <= 1


def test_slerp_keeps_the_norm_and_meets_its_ends() -> None:
    a, b = latents([1, 2, 3], 64), latents([4, 5, 3], 64)
    at = {t: slerp(a, b, np.full(3, t, np.float32)) for t in (0.0, 0.5, 1.0)}
    np.testing.assert_allclose(at[0.0], a, atol=1e-6)
    np.testing.assert_allclose(at[1.0], b, atol=1e-6)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    halfway = slerp(*unit, np.full(3, 0.5, np.float32))
    np.testing.assert_allclose(np.linalg.norm(halfway, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose((halfway * unit[0]).sum(1), (halfway * unit[1]).sum(1), atol=1e-6)
    np.testing.assert_allclose(at[0.5][2], a[2], atol=1e-6)  # the third row goes from a point to itself
    zero = slerp(np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32), np.array([0.25], np.float32))
    assert np.isfinite(zero).all()


@pytest.mark.parametrize("name", ["dcgan", "stylegan"])
def test_walk_meets_every_seed_and_comes_back(name: str, runs: dict[str, Path]) -> None:
    model = open_generator(runs[name])
    request = Request() if name == "dcgan" else model.request(truncation_psi=0.6, truncation_cutoff=3)
    walk = Walk(model, [4, 8, 1], request)
    assert walk.in_w == (name == "stylegan")
    images = walk.images([0.0, 1.0, 2.0, 3.0, 0.5, 1.001])
    near(images[:3], model.images([4, 8, 1], request))
    np.testing.assert_array_equal(images[3], images[0])
    assert np.abs(images[4].astype(int) - images[0]).mean() > 1
    assert np.abs(images[5].astype(int) - images[1]).mean() < 1


def test_walk_blends_conditions(tmp_path: Path) -> None:
    model = open_generator(labelled_run(tmp_path))
    walk = Walk(model, [0, 1], model.request(classes="cat,dog", attributes={"smiling": 0, "age": 1}))
    assert read_condition(walk.images([0.25])[0], 7) == [0.75, 0.25, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("formats", [["png"], ["gif"], ["png", "gif"]])
def test_interpolation(formats: list[str], runs: dict[str, Path], tmp_path: Path) -> None:
    model, ticks = open_generator(runs["stylegan"]), []
    paths = figures.write_interpolation(
        model, [3, 1, 2], OutputFolder(tmp_path, {}), formats,
        frames=5, request=Request(), advance=ticks.append,
    )  # fmt: skip
    assert [path.name for path in paths] == [f"interpolation.{name}" for name in formats]
    assert sum(ticks) == ("png" in formats) * 16 + ("gif" in formats) * 15
    seeds = model.images([3, 1, 2], Request())
    if "png" in formats:
        strip = cells(tmp_path / "interpolation.png", 16)
        assert strip.shape[:2] == (2, 8)
        near(strip[[0, 0, 1, 1], [0, -1, 0, -1]], seeds[[0, 1, 1, 2]])
    if "gif" in formats:
        with Image.open(tmp_path / "interpolation.gif") as gif:
            assert (gif.n_frames, gif.info["loop"], gif.info["duration"]) == (15, 0, 1000 // FRAME_RATE)
            gif.seek(5)
            frame = np.asarray(gif.convert("RGB")).astype(int)
        assert np.abs(frame - seeds[1]).mean() < 4  # 256 colours


@pytest.mark.skipif(not HAS_AV, reason="needs PyAV: pip install av")
@pytest.mark.parametrize("img_channels", [1, 3, 4])
def test_mp4(img_channels: int, tmp_path: Path) -> None:
    import av

    still = np.zeros((64, 64, img_channels), np.uint8)
    still[..., -1 if img_channels == 4 else 0] = 200
    with open_movie(tmp_path / "m.mp4", 64) as movie:
        for _ in range(30):
            movie.append(still)
    with av.open(str(tmp_path / "m.mp4")) as container:
        assert container.streams.video[0].average_rate == FRAME_RATE
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 30
    assert frames[0].shape == (256, 256, 3)
    shown = {1: [200] * 3, 3: [200, 0, 0], 4: [55] * 3}[img_channels]  # transparent on white
    assert np.abs(frames[7].reshape(-1, 3).mean(0) - shown).max() < 6


def test_movie_is_whole_or_absent(tmp_path: Path) -> None:
    def fails() -> None:
        with open_movie(tmp_path / "m.gif", 8) as movie:
            movie.append(np.zeros((8, 8, 3), np.uint8))
            raise ValueError("no more frames")

    with pytest.raises(ValueError, match="no more frames"):
        fails()
    assert list(tmp_path.iterdir()) == []


def test_movies_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    check_movie("gif", 65536, 128)
    with pytest.raises(ConfigError, match="at most 65536 frames, or for mp4"):
        check_movie("gif", 65537, 128)
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'av>=12', or ask for gif"):
        check_movie("mp4", 1, 8)


def test_style_mix(runs: dict[str, Path], tmp_path: Path) -> None:
    model, request = open_generator(runs["stylegan"]), Request(truncation_psi=0.9)
    path = figures.write_style_mix(
        model, [1, 2, 3], [8, 9], OutputFolder(tmp_path, {}), request=request, advance=ignore
    )
    assert Image.open(path).size == (16 * 4 + 4, 16 * 5 + 8)
    sheet = np.asarray(Image.open(path))
    white = (sheet == 255).all((1, 2)).nonzero()[0].tolist(), (sheet == 255).all((0, 2)).nonzero()[0].tolist()
    assert white == ([16, 17, 18, 19, 52, 53, 54, 55], [16, 17, 18, 19])
    bare = np.delete(np.delete(sheet, white[0], 0), white[1], 1)
    grid = bare.reshape(5, 16, 4, 16, 3).swapaxes(1, 2)
    near(grid[0, 1:], model.images([1, 2, 3], request))
    for band in (grid[1:3], grid[3:5]):
        near(band[:, 0], model.images([8, 9], request))
    w = {k: model.styles(latents([k], 16), None, request)[0] for k in (2, 9)}
    coarse, middle = w[9].copy(), w[9].copy()
    coarse[:4], middle[4:] = w[2][:4], w[2][4:]
    near(grid[[2, 4], 2], model.synthesise(np.stack([coarse, middle])))


def test_bands_are_the_papers() -> None:
    assert list(bands(4)) == ["coarse"]
    assert bands(18) == {"coarse": slice(0, 4), "middle": slice(4, 8), "fine": slice(8, None)}


@pytest.mark.parametrize("source", ["dcgan", "dcgan.onnx"])
def test_models_without_styles(source: str, runs: dict[str, Path], exported: Any) -> None:
    model = open_generator(exported("dcgan") if source.endswith("onnx") else runs[source])
    with pytest.raises(ConfigError, match=f"no styles to mix in the {model.name} runtime"):
        figures.check_style_mix(model, 2, 2)
    with pytest.raises(ConfigError, match="no styles to mix"):
        model.styles(latents([0], model.z_dim), None, Request())
    with pytest.raises(ConfigError, match="no styles to mix"):
        model.synthesise(np.zeros((1, 6, 16), np.float32))


def test_sheets_that_would_be_too_large(runs: dict[str, Path]) -> None:
    model = open_generator(runs["stylegan"])
    with pytest.raises(ConfigError, match="at most 1024 of each"):
        figures.check_style_mix(model, 1024, 1)
    with pytest.raises(ConfigError, match="at most 1024 of each"):
        figures.check_interpolation(model, range(2000), Request(), ["png"])
    figures.check_interpolation(model, range(2000), Request(), ["gif"])
    with pytest.raises(ConfigError, match="at most 1024 of each"):
        sheet_columns(1025, model.resolution, Request(classes=(0, 1)))


def test_class_grid(tmp_path: Path) -> None:
    model = open_generator(labelled_run(tmp_path / "run", attributes=False), batch=3)
    request = model.request(classes="all")
    path = pipeline.write_grid(
        model, range(4), OutputFolder(tmp_path / "o", {}), request=request, advance=ignore
    )
    sheet = cells(path, 8)[..., :1]
    assert sheet.shape[:2] == (3, 4)
    for row, column in np.ndindex(3, 4):
        assert read_condition(sheet[row, column], 3) == np.eye(3)[row].tolist()
        np.testing.assert_array_equal(sheet[row, column, 0], sheet[0, column, 0])  # where the model shows z
