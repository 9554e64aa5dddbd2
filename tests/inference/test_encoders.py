"""Every encoder's files read back, with as many channels as there were; the same bytes in any thread."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from fastgan.errors import ConfigError
from fastgan.inference.encoders import ENCODERS, check_encoder

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


@pytest.mark.parametrize("size", [32, 160])
@pytest.mark.parametrize("img_channels", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ENCODERS)
def test_files_read_back(img_channels: int, name: str, size: int) -> None:
    if name == "jpg" and img_channels in (2, 4):
        with pytest.raises(ConfigError, match="alpha"):
            check_encoder(name, img_channels)
        return
    check_encoder(name, img_channels)
    ramp = np.arange(size) * (200 / size) + 20
    image = np.repeat(np.add.outer(ramp / 2, ramp / 2).astype(np.uint8)[..., None], img_channels, axis=2)
    data = ENCODERS[name].encode(image)
    with Image.open(BytesIO(data)) as read:
        assert read.format.lower() == {"jpg": "jpeg"}.get(ENCODERS[name].suffix, ENCODERS[name].suffix)
        back = np.asarray(read.convert(MODES[img_channels])).reshape(size, size, -1)
    tolerance = 0 if name in ("png", "webp-lossless") else 6
    assert np.abs(back.astype(int) - image).max() <= tolerance


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 1, 1), (5, 7, 4), (64, 64, 3)])
def test_png_of_noise_and_odd_sizes_is_exact_and_whole(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    data = ENCODERS["png"].encode(image[:, ::-1])  # not contiguous
    with Image.open(BytesIO(data)) as read:
        read.verify()  # every chunk's CRC
    with Image.open(BytesIO(data)) as read:
        np.testing.assert_array_equal(np.asarray(read).reshape(shape), image[:, ::-1])


@pytest.mark.parametrize("name", ENCODERS)
def test_threads_give_the_same_bytes(name: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, 24, 24, 3), np.uint8)
    straight = [ENCODERS[name].encode(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ENCODERS[name].encode, images)) == straight
