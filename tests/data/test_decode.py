"""Decoding against pixels worked out independently, in every mode and for every kind of broken file."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from fastgan import machine
from fastgan.data import memory
from fastgan.data.decode import MAX_PIXELS, BadImageError, decode, formats, quiet, read_header
from tests.data.images import encoded, lanczos, noise, png_claiming


def pixels(file: io.BytesIO, size: int, channels: int = 3) -> np.ndarray:
    return decode(file, size, channels)[0]


def test_lanczos_shrinks_with_antialiasing():
    picture = noise(97, 97)
    # PIL's weights are fixed-point: up to one level off
    np.testing.assert_allclose(pixels(encoded(picture), 32).astype(int), lanczos(picture, 32), atol=1)


def test_lanczos_enlarges():
    picture = noise(20, 20)
    np.testing.assert_allclose(pixels(encoded(picture), 64).astype(int), lanczos(picture, 64), atol=1)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_crop_is_central_and_exact(height, width):
    picture, side = noise(height, width), min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    result, short_side = decode(encoded(picture), side, 3)
    np.testing.assert_array_equal(result, picture[top : top + side, left : left + side])
    assert short_side == side


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_padding_is_central_and_black_and_keeps_every_pixel(height, width):
    picture, side = noise(height, width), max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    expected = np.zeros((side, side, 3), np.uint8)
    expected[top : top + height, left : left + width] = picture
    result, long_side = decode(encoded(picture), side, 3, "pad")
    np.testing.assert_array_equal(result, expected)
    assert long_side == side


def test_padding_resizes_the_long_side_and_leaves_sharp_edges():
    picture = np.full((40, 80, 3), 200, np.uint8)
    result = decode(encoded(picture), 32, 3, "pad")[0]
    assert (result[8:24] == 200).all()
    assert (result[:8] == 0).all()
    assert (result[24:] == 0).all()
    deep = np.full((40, 80), 65535, np.uint16)
    assert (decode(encoded(deep), 32, 1, "pad")[0][8:24] == 255).all()


def test_padding_is_transparent_where_there_is_alpha():
    result = decode(encoded(np.full((4, 8, 3), 200, np.uint8)), 8, 4, "pad")[0]
    assert (result[2:6] == (200, 200, 200, 255)).all()
    assert (result[:2] == 0).all()


def test_a_line_of_pixels_can_be_padded_to_fewer():
    assert decode(encoded(noise(1, 1000)), 8, 3, "pad")[0].shape == (8, 8, 3)


@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 1), (9, 9, 3), (9, 9, 4), (6, 12, 3)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_array_is_what_its_file_would_be(shape, channels):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    flat = picture[..., 0] if shape[2:] == (1,) else picture
    expected, side = decode(encoded(flat), 8, channels)
    result, same_side = decode(picture, 8, channels)
    np.testing.assert_array_equal(result, expected)
    assert (side, read_header(picture)) == (same_side, read_header(encoded(flat)))


# Where the stored picture must come from for a viewer that honours the tag to show `upright` (EXIF 2.32, 4.6.4).
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_exif_orientation(orientation, kind):
    upright = noise(16, 24)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    file = encoded(np.ascontiguousarray(STORED[orientation](upright)), kind, exif=exif, **options)
    np.testing.assert_array_equal(pixels(file, 16), upright[:, 4:20])


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA", "WEBP"])
def test_lossless_formats_are_exact(kind):
    picture = noise(16, 16)
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(pixels(encoded(picture, kind, **options), 16), picture)


def test_jpeg_is_close():
    picture = np.tile(np.linspace(0, 255, 32, dtype=np.uint8)[:, None, None], (1, 32, 3))
    np.testing.assert_allclose(pixels(encoded(picture, "JPEG", quality=95), 32).astype(int), picture, atol=4)


def test_grey_becomes_three_equal_channels_and_colour_becomes_luma():
    grey = noise(8, 8, 1)
    np.testing.assert_array_equal(pixels(encoded(grey), 8, 3), np.repeat(grey[..., None], 3, 2))
    np.testing.assert_array_equal(pixels(encoded(grey), 8, 1), grey[..., None])
    colour = noise(8, 8)
    luma = colour @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(pixels(encoded(colour), 8, 1)[..., 0], luma, atol=0.51)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind):
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    expected = np.rint(deep.astype(float) / 65535 * 255)
    np.testing.assert_array_equal(pixels(encoded(deep, kind), 8, 1)[..., 0], expected)
    np.testing.assert_array_equal(pixels(encoded(deep, kind), 8, 3)[..., 2], expected)


def test_16_bit_grey_is_filtered_before_rounding():
    deep = np.random.default_rng(0).integers(0, 65536, (60, 60)).astype(np.uint16)
    expected = lanczos(deep, 16)[..., 0].clip(0, 65535) / 257  # in levels of 8 bits, not rounded
    assert np.abs(pixels(encoded(deep), 16, 1)[..., 0] - expected).max() < 0.51


def test_float_grey_from_0_to_1_is_scaled_and_beyond_is_refused():
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    np.testing.assert_array_equal(pixels(encoded(ramp, "TIFF"), 8, 1)[..., 0], np.rint(ramp * 255.0))
    with pytest.raises(BadImageError, match=r"outside 0\.\.1"):
        pixels(encoded(ramp * 300, "TIFF"), 8)
    with pytest.raises(BadImageError, match=r"outside 0\.\.65535"):
        pixels(encoded(np.full((8, 8), 1 << 20, np.int32), "TIFF"), 8)


def test_transparency_goes_on_white_unless_kept():
    rgba = noise(8, 8, 4)
    alpha = rgba[..., 3:] / 255
    on_white = rgba[..., :3] * alpha + 255 * (1 - alpha)
    np.testing.assert_allclose(pixels(encoded(rgba), 8, 3), on_white, atol=1)
    np.testing.assert_array_equal(pixels(encoded(rgba), 8, 4), rgba)
    np.testing.assert_array_equal(pixels(encoded(noise(8, 8)), 8, 4)[..., 3], 255)


def test_invisible_colours_do_not_bleed_in_when_alpha_is_kept():
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[..., 0] = 255  # invisible red beside visible blue
    rgba[:, 16:] = (0, 0, 255, 255)
    small = pixels(encoded(rgba), 7, 4)
    assert (small[small[..., 3] > 0][:, 0] <= 1).all()


def test_grey_with_alpha():
    file = encoded(Image.merge("LA", (_l(0), _l(1))))
    grey, alpha = np.asarray(_l(0), float), np.asarray(_l(1), float) / 255
    np.testing.assert_allclose(pixels(file, 8, 1)[..., 0], grey * alpha + 255 * (1 - alpha), atol=1)


def _l(seed: int) -> Image.Image:
    return Image.fromarray(noise(8, 8, 1, seed))


def test_palette_with_and_without_transparency():
    index = np.arange(64, dtype=np.uint8).reshape(8, 8) % 3
    image = Image.new("P", (8, 8))
    image.putdata(index.reshape(-1).tolist())
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    np.testing.assert_array_equal(pixels(encoded(image), 8), palette[index])
    palette[1] = 255  # the transparent entry, on white
    np.testing.assert_array_equal(pixels(encoded(image, transparency=1), 8), palette[index])
    kept = pixels(encoded(image, transparency=1), 8, 4)
    np.testing.assert_array_equal(kept[..., 3], np.where(index == 1, 0, 255))


def test_colour_key_transparency():
    picture = np.full((8, 8, 3), 10, np.uint8)
    picture[:4] = (1, 2, 3)
    file = encoded(picture, transparency=(1, 2, 3))
    assert (pixels(file, 8)[:4] == 255).all()
    assert (pixels(file, 8)[4:] == 10).all()


def test_one_bit_images_have_grey_levels_after_shrinking():
    stripes = np.zeros((16, 16), bool)
    stripes[:, ::2] = True
    result = pixels(encoded(Image.fromarray(stripes)), 8, 1)
    assert 100 < result[4, 4, 0] < 155


def test_cmyk_jpeg():
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow: red
    np.testing.assert_allclose(
        pixels(encoded(ink, "JPEG", quality=95), 16)[8, 8].astype(int), (255, 0, 0), atol=6
    )


def test_animation_gives_its_first_frame():
    first, second = Image.new("RGB", (8, 8), (200, 0, 0)), Image.new("RGB", (8, 8), (0, 200, 0))
    file = encoded(first, "GIF", save_all=True, append_images=[second])
    np.testing.assert_allclose(pixels(file, 8)[0, 0].astype(int), (200, 0, 0), atol=4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_truncated_is_an_error_and_never_half_an_image(kind):
    data = encoded(noise(64, 64), kind).getvalue()
    with pytest.raises(BadImageError) as error:
        pixels(io.BytesIO(data[: len(data) // 2]), 16)
    assert "\n" not in str(error.value)
    assert str(error.value)


def test_decompression_bomb_is_refused_from_its_header():
    for width, height in [(100_000, 100_000), (MAX_PIXELS, 2), (10_000, 9_000)]:
        with quiet(), pytest.raises(BadImageError, match=r"limit of 89 million"):
            pixels(io.BytesIO(png_claiming(width, height)), 16)


def test_the_limit_of_pixels_can_be_raised_and_lowered(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    scan = encoded(Image.new("1", (10_000, 18_000)))  # beyond PIL's own limit too
    with (
        quiet(),
        pytest.raises(BadImageError, match=r"180\.0 million pixels, .*max_pixels=180000000.* raises it"),
    ):
        decode(scan, 8, 1)
    assert decode(scan, 8, 1, max_pixels=180_000_000)[1] == 10_000
    assert read_header(scan, 180_000_000).long_side == 18_000
    with quiet(), pytest.raises(BadImageError, match=r"8 x 9, .*max_pixels=72"):
        decode(encoded(noise(9, 8)), 8, 3, max_pixels=71)


def test_a_large_image_waits_for_memory_and_is_refused_where_there_is_too_little(monkeypatch):
    scan = encoded(Image.new("1", (4096, 4096))).getvalue()
    free = 1 << 30
    monkeypatch.setattr(memory, "available_memory", lambda: free)
    monkeypatch.setattr(machine, "available_memory", lambda: free)
    with ThreadPoolExecutor(4) as pool:  # each asks for 256 MiB and more than one has no room beside another
        free = 300 << 20
        assert [side for _, side in pool.map(lambda _: decode(io.BytesIO(scan), 8, 1), range(8))] == [
            4096
        ] * 8
    free = 100 << 20
    with pytest.raises(BadImageError, match=r"would take about 0\.2 GiB of memory, and 0\.1 GiB are free"):
        decode(io.BytesIO(scan), 8, 1)


def test_text_and_nothing_are_not_images():
    for data in (b"hello, I am a text", b"", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(BadImageError, match="not an image"):
            pixels(io.BytesIO(data), 16)


def test_formats_that_start_programs_are_never_tried():
    assert "EPS" not in formats()
    with pytest.raises(BadImageError):
        read_header(io.BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_bytes_decode_or_say_why(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]))
    content = bytearray(encoded(noise(12, 12), kind).getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        with quiet():
            result, _ = decode(io.BytesIO(bytes(content)), 8, 3)
    except BadImageError as error:
        assert str(error)  # noqa: PT017
    else:
        assert result.shape == (8, 8, 3)
        assert result.dtype == np.uint8


def test_header_tells_size_and_kind():
    header = read_header(encoded(noise(20, 30, 1)))
    assert (header.short_side, header.long_side, header.is_grey, header.has_alpha) == (20, 30, True, False)
    header = read_header(encoded(noise(9, 5, 4)))
    assert (header.short_side, header.is_grey, header.has_alpha) == (5, False, True)
