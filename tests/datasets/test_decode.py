import io
import warnings

import numpy as np
import pytest
from PIL import Image

from benchmark.datasets.decode import UnreadableError, decode


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def pixel(data: bytes) -> tuple[int, ...]:
    image = decode(data)
    assert image.mode == "RGB"
    return tuple(int(value) for value in np.asarray(image)[0, 0])


@pytest.mark.parametrize(("alpha", "expected"), [(0, (255, 255, 255)), (255, (10, 20, 30)), (51, (206, 208, 210))])
def test_transparency_is_composited_on_white(alpha, expected):
    assert pixel(encoded(Image.new("RGBA", (2, 2), (10, 20, 30, alpha)))) == pytest.approx(expected, abs=1)


def test_grey_with_alpha_is_composited_on_white():
    assert pixel(encoded(Image.new("LA", (2, 2), (0, 0)))) == (255, 255, 255)


def test_palette_colours_and_its_transparent_entry_survive():
    image = Image.new("P", (2, 1))
    image.putpalette([200, 10, 20, 30, 40, 50])
    image.putpixel((1, 0), 1)
    assert pixel(encoded(image)) == (200, 10, 20)
    clear = decode(encoded(image, transparency=0))
    assert np.asarray(clear).tolist() == [[[255, 255, 255], [30, 40, 50]]]


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (65535, 255), (32768, 128), (255, 1), (257, 1)])
def test_16_bit_grey_is_scaled_not_clipped(value, expected):
    data = encoded(Image.fromarray(np.full((2, 2), value, np.uint16)))
    assert pixel(data) == (expected,) * 3


def test_cmyk_becomes_the_colour_it_stands_for():
    assert pixel(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100)) == pytest.approx(
        (255, 0, 0), abs=6
    )


def test_an_image_rotated_by_exif_is_turned_upright():
    image = Image.new("RGB", (16, 8), "black")
    image.paste("white", (0, 0, 8, 8))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    upright = decode(encoded(image, "JPEG", exif=exif, quality=100))
    assert upright.size == (8, 16)
    pixels = np.asarray(upright)
    assert pixels[2].mean() > 240 and pixels[13].mean() < 15  # top half white


def test_bilevel_and_grey_images_become_rgb():
    assert pixel(encoded(Image.new("1", (2, 2), 1))) == (255, 255, 255)
    assert pixel(encoded(Image.new("L", (2, 2), 77))) == (77, 77, 77)


def test_only_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("red", "blue")]
    assert pixel(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_a_truncated_image_is_unreadable(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    decode(data)
    with pytest.raises(UnreadableError):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_unreadable(data):
    with pytest.raises(UnreadableError):
        decode(data)


@pytest.mark.parametrize("side", [11, 20])
@pytest.mark.parametrize("action", ["ignore", "error"])
def test_a_decompression_bomb_is_unreadable_whatever_becomes_of_the_warning(monkeypatch, side, action):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    decode(encoded(Image.new("RGB", (10, 10))))
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with pytest.raises(UnreadableError, match="more than 100 pixels"):
            decode(encoded(Image.new("RGB", (side, side))))


def test_float_pixels_are_refused_because_their_range_is_unknown():
    with pytest.raises(UnreadableError, match="float"):
        decode(encoded(Image.new("F", (2, 2), 0.5), "TIFF"))
