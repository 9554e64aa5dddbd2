"""From what a user names to images, labels and sides."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fastgan.errors import ConfigError, DataError
from fastgan.study.begin import Source, begin
from fastgan.study.settings import Settings
from fastgan.study.study import Study
from tests.study.conftest import TINY_GAN
from tests.study.images import CLASSES, bars, bars_set


def begun(path: Path, **source: object) -> tuple[Study, list[str]]:
    """The study of `path`, and what it notes."""
    notes: list[str] = []
    settings = Settings(transfer=False, gan_sets=TINY_GAN, steps=2)
    folder = path.with_name("study")
    return begin(Source(data=path, **source), settings, folder, device="cpu", note=notes.append), notes


def pictures(path: Path, per_class: int, *, sides: tuple[int, ...], mode: str = "L", clear: int = 0) -> Path:
    """Class folders of PNG files, sides in turn; of RGBA images the first `clear` are transparent in a corner."""
    found = bars(per_class, size=max(sides), channels=len(mode))
    for n, (image, label) in enumerate(zip(found.images.numpy(), found.targets.tolist(), strict=True)):
        if n < clear:
            image[:4, :4, -1] = 0
        (path / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        side = sides[n % len(sides)]
        picture = Image.fromarray(image[:side, :side].squeeze())
        picture.save(path / CLASSES[label] / f"{n:03d}.png")
    return path


@pytest.mark.parametrize(
    ("sides", "studied", "words"),
    [
        ((32,), 32, None),
        (
            (28,),
            32,
            "the images have 28 px and are studied at 32, for GANs make images whose side is a power of two",
        ),
        ((50,), 64, "the images have 50 px and are studied at 64, for GANs make"),
        ((5,), 8, "the images have 5 px and are studied at 8, for GANs make"),
        ((20, 28, 30), 32, "the images have 20 to 30 px and are studied at 32, for GANs make"),
        ((100,), 64, "the images have 100 px and are studied at 64, .* --size 128 shows more"),
    ],
)
def test_images_of_a_folder_are_studied_at_the_next_power_of_two(
    tmp_path: Path, sides: tuple[int, ...], studied: int, words: str | None
) -> None:
    study, notes = begun(pictures(tmp_path / "photos", 12, sides=sides), near=1.0)
    assert study.data.images.shape[1:] == (studied, studied, 1)
    told = [text for text in notes if "px" in text]
    assert len(told) == (words is not None)
    if words is not None:
        assert re.match(words, told[0])


def test_packed_images_are_enlarged_to_the_next_power_of_two(tmp_path: Path) -> None:
    path = bars_set(tmp_path / "bars.fgd", 20, size=28)
    study, notes = begun(path)
    assert study.data.images.shape == (60, 32, 32, 1)
    assert any("the images have 28 px and are studied at 32" in text for text in notes)
    image = Image.fromarray(bars(20, size=28).images[7, :, :, 0].numpy())
    expected = np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS))
    assert np.array_equal(study.data.images[7, :, :, 0].numpy(), expected)
    asked, notes = begun(path, size=32)
    assert torch.equal(asked.data.images, study.data.images)
    assert not any("px" in text for text in notes)
    assert begun(path, size=16)[0].data.images.shape[1] == 16
    with pytest.raises(DataError, match="was packed at size 28, less than 64"):
        begun(path, size=64)
    tests = bars_set(tmp_path / "tests.fgd", 8, size=28, seed=1)
    assert begun(path, test=tests)[0].data.images.shape == (84, 32, 32, 1)


@pytest.mark.parametrize(
    ("size", "nearest"), [(28, "16 and 32"), (5, "8 and 16"), (0, "8 and 16"), (5000, "2048 and 4096")]
)
def test_a_size_that_gans_cannot_make_is_refused(tmp_path: Path, size: int, nearest: str) -> None:
    with pytest.raises(
        ConfigError, match=f"--size {size} must be a power of two from 8 .*: {nearest} are the"
    ):
        begun(tmp_path / "nowhere", size=size)


@pytest.mark.parametrize(
    ("mode", "clear", "channels"),
    [("L", 0, 1), ("RGB", 0, 3), ("RGBA", 36, 4), ("RGBA", 0, 3), ("RGBA", 10, 3)],
)
def test_channels_are_those_of_the_images(tmp_path: Path, mode: str, clear: int, channels: int) -> None:
    path = pictures(tmp_path / "photos", 12, sides=(16,), mode=mode, clear=clear)
    study, notes = begun(path)
    assert study.data.images.shape[3] == channels
    assert any("studied as RGBA: --channels 3" in text for text in notes) == (channels == 4)
    study, notes = begun(path, channels=3)
    assert study.data.images.shape[3] == 3
    assert not any("RGBA" in text for text in notes)


def test_a_class_is_left_out_where_it_is(tmp_path: Path) -> None:
    path = bars_set(tmp_path / "bars.fgd", 20)
    tests = pictures(tmp_path / "tests", 8, sides=(16,))
    for file in (tests / "square").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"'square' is in one alone.* --leave-out"):
        begun(path, test=tests)
    study, _ = begun(path, test=tests, left_out=("square",), near=1.0)
    assert study.task.names == ("lying", "standing")
    with pytest.raises(
        DataError, match=r"bars.fgd and .*tests have no class 'cube' to leave out: .* lying, standing"
    ):
        begun(path, test=tests, left_out=("cube",))


def test_families_are_named_in_both_sets(tmp_path: Path) -> None:
    path, tests = bars_set(tmp_path / "bars.fgd", 20), bars_set(tmp_path / "tests.fgd", 8, seed=1)
    with pytest.raises(
        DataError, match=r"24 of 24 test images of .* \(by --group-by, lying/000.png and lying/000.png"
    ):
        begun(path, test=tests, group_by=r"/(\d+)")
    study, _ = begun(path, test=tests, group_by=r"/0?(5\d)")
    assert len(study.split.test) == 24, "the test set has no image of that name"


def test_who_is_near_is_asked_for(tmp_path: Path) -> None:
    path = bars_set(tmp_path / "bars.fgd", 20)
    for near in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match=f"--near {near:g} must be above 0 and at most 1"):
            begun(path, near=near)
    _, notes = begun(path, near=0.8)
    assert any("near cop" in text for text in notes)
    assert not any("near cop" in text for text in begun(path)[1])
