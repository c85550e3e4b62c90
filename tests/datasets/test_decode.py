import contextlib
import io
import pickle
import struct
import subprocess
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, features

from benchmark.datasets import decode as decode_module
from benchmark.datasets.decode import FORMATS, UnreadableError, decode


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, bits: int, colour: int, raw: bytes, extra: bytes = b"") -> bytes:
    """A PNG file with `raw` scan lines, each one led by its filter byte, and `extra` chunks before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(raw))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + chunk(b"IEND", b"")


def claiming(jpeg: bytes, width: int, height: int) -> bytes:
    """The JPEG with another size in its header."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def tiff(width: int, height: int, bits: int, photometric: int, raw: bytes, *extra: tuple[int, int, int, int]) -> bytes:
    """An uncompressed grey TIFF file; `extra` tags are (tag, type, count, value)."""
    size = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 277: 1, 278: height}
    tags = [(tag, 3, 1, value) for tag, value in size.items()] + [(279, 4, 1, len(raw)), *extra]
    tags.append((273, 4, 1, 8 + 2 + 12 * (len(tags) + 1) + 4))
    lines = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + lines + bytes(4) + raw


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


def cmyk_jpeg(stored: tuple[int, ...], transform: int) -> bytes:
    """A CMYK JPEG as Photoshop writes it: Adobe's marker, with `stored` components inside."""
    data = encoded(Image.new("CMYK", (8, 8), tuple(255 - value for value in stored)), "JPEG", quality=100)
    at = data.index(b"Adobe")
    assert data[at + 11] == 0  # Pillow inverts what it stores, as Photoshop does, and says that it is CMYK
    return data[: at + 11] + bytes([transform]) + data[at + 12 :]


@pytest.mark.parametrize("ink", [(0, 255, 255, 0), (255, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 0), (40, 90, 200, 0)])
def test_photoshop_s_inverted_cmyk_and_ycck_give_the_right_colours(ink):
    c, m, y, k = ink
    expected = tuple(round((255 - value) * (255 - k) / 255) for value in (c, m, y))
    inverted = tuple(255 - value for value in ink)
    assert pixel(cmyk_jpeg(inverted, 0)) == pytest.approx(expected, abs=6)
    # YCCK is YCbCr of the complement of what is stored in the first three components.
    colours = Image.new("RGB", (1, 1), (c, m, y)).convert("YCbCr").getpixel((0, 0))
    assert pixel(cmyk_jpeg((*colours, 255 - k), 2)) == pytest.approx(expected, abs=6)


ORIENTATIONS = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "tl", 6: "tr", 7: "br", 8: "bl"}
"""Where the first pixel of the file is shown: EXIF's row 0 and column 0."""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(("orientation", "corner"), ORIENTATIONS.items())
def test_an_image_rotated_by_exif_is_turned_upright_once(kind, orientation, corner):
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"tiffinfo": {0x0112: orientation}} if kind == "TIFF" else {"exif": exif}
    upright = decode(encoded(image, kind, **options))
    assert upright.size == ((32, 16) if orientation < 5 else (16, 32))
    width, height = upright.size
    x, y = width // 4 + width // 2 * (corner[1] == "r"), height // 4 + height // 2 * (corner[0] == "b")
    grey = np.asarray(upright.convert("L"))
    assert grey[y, x] > 200 and grey.mean() == pytest.approx(64, abs=12)
    assert ImageOps.exif_transpose(upright).size == upright.size and not upright.info


@pytest.mark.parametrize("exif", [b"garbage!!", b"", b"II*\0\x08\0\0\0\xff\xff\x12\x01", b"MM\0*\xff\xff\xff\xff"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_says_nothing_about_the_pixels(kind, exif):
    data = encoded(Image.new("RGB", (16, 8), (200, 30, 40)), kind, exif=b"Exif\0\0" + exif)
    assert decode(data).size == (16, 8) and pixel(data) == pytest.approx((200, 30, 40), abs=4)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_plain_pixels_that_can_be_handed_to_other_processes(kind):
    if kind == "AVIF" and not features.check("avif") or kind == "JPEG2000" and not features.check("jpg_2000"):
        pytest.skip(f"this Pillow was built without {kind}")
    image = decode(encoded(Image.new("RGB", (16, 16), (200, 30, 40)), kind, quality=95))
    assert np.asarray(image)[8, 8] == pytest.approx((200, 30, 40), abs=12)
    assert pickle.loads(pickle.dumps(image)).tobytes() == image.tobytes() == image.copy().tobytes()


def test_bilevel_and_grey_images_become_rgb():
    assert pixel(encoded(Image.new("1", (2, 2), 1))) == (255, 255, 255)
    assert pixel(encoded(Image.new("L", (2, 2), 77))) == (77, 77, 77)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_only_the_first_frame_of_an_animation_counts(kind):
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert pixel(data) == pytest.approx((255, 0, 0), abs=2)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_a_truncated_image_is_unreadable(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    decode(data)
    with pytest.raises(UnreadableError):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("data", [b"hello", b"\x89PNG\r\n\x1a\n", bytes(1000), b"\xff\xd8\xff\xe0" + bytes(1000)])
def test_what_is_no_image_is_unreadable(data):
    with pytest.raises(UnreadableError, match="not an image of a known format"):
        decode(data)


def test_an_empty_image_is_unreadable():
    with pytest.raises(UnreadableError, match="empty"):
        decode(b"")


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><html>404</html>", b'\n<?xml version="1.0"?><svg/>', b"\xef\xbb\xbf<svg></svg>"]
)
def test_a_web_page_saved_as_an_image_is_called_one(page):
    with pytest.raises(UnreadableError, match="web page or SVG"):
        decode(page)


def test_no_program_is_started_for_postscript(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(UnreadableError, match="not an image of a known format"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (0, 0)])
def test_an_image_without_pixels_is_unreadable(width, height):
    jpeg = encoded(Image.new("RGB", (16, 16)), "JPEG")
    gif = b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"
    for data in (png(width, height, 8, 0, b"\0"), claiming(jpeg, width, height), gif):
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


@pytest.mark.parametrize("side", [9000, 60000])
def test_a_few_bytes_that_claim_to_be_a_huge_image_are_refused(side):
    jpeg = encoded(Image.new("RGB", (16, 16)), "JPEG")
    pgm = b"P5 %d %d 255\n" % (side, side)
    for data in (png(side, side, 8, 2, b"\0"), claiming(jpeg, side, side), pgm, tiff(side, side, 8, 1, b"\0")):
        with pytest.raises(UnreadableError):
            decode(data)


def test_a_flat_jpeg_is_not_taken_for_one_without_data():
    for options in ({}, {"progressive": True}, {"subsampling": "4:2:0", "quality": 1, "optimize": True}):
        assert decode(encoded(Image.new("L", (3000, 3000), 7), "JPEG", **options)).size == (3000, 3000)
        assert decode(encoded(Image.new("RGB", (3000, 3000), (1, 2, 3)), "JPEG", **options)).size == (3000, 3000)


def test_a_jpeg_of_thousands_of_scans_is_refused_not_decoded(monkeypatch):
    data = encoded(Image.new("RGB", (400, 400), (200, 30, 40)), "JPEG", progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    bomb = data[:-2] + 2000 * last_scan + b"\xff\xd9"
    decode(bomb)  # small enough to bear
    monkeypatch.setattr(decode_module, "SCANNED_PIXELS", 100_000_000)
    decode(data)
    with pytest.raises(UnreadableError, match="too many scans"):
        decode(bomb)


@pytest.mark.parametrize(("name", "head"), [(b"iCCP", b"x\0\0"), (b"zTXt", b"x\0\0"), (b"iTXt", b"x\0\1\0\0\0")])
def test_a_bomb_in_the_metadata_is_refused_before_it_unfolds(name, head):
    bomb = chunk(name, head + zlib.compress(bytes(50_000_000), 9))
    with pytest.raises(UnreadableError, match="too large"):
        decode(png(1, 1, 8, 0, b"\0\7", bomb))


def test_embedded_colour_profiles_are_not_applied():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    assert pixel(encoded(Image.new("RGB", (2, 2), (10, 20, 30)), icc_profile=profile)) == (10, 20, 30)


def test_16_bit_colours_keep_their_high_bytes():
    high = struct.pack(">3H", 0x80FF, 65535, 256)
    assert pixel(png(1, 1, 16, 2, b"\0" + high)) == (128, 255, 1)
    assert pixel(png(1, 1, 16, 6, b"\0" + high + b"\0\0")) == (255, 255, 255)


def test_the_transparent_value_of_a_16_bit_grey_is_composited_and_that_of_colours_refused():
    key = struct.pack(">H", 5000)
    assert pixel(png(1, 1, 16, 0, b"\0" + key, chunk(b"tRNS", key))) == (255, 255, 255)
    assert pixel(png(1, 1, 16, 0, b"\0" + key, chunk(b"tRNS", b"\0\0"))) == (19, 19, 19)
    with pytest.raises(UnreadableError, match="16 bits"):
        decode(png(1, 1, 16, 2, b"\0" + 3 * key, chunk(b"tRNS", 3 * key)))


@pytest.mark.parametrize(
    ("bits", "photometric", "raw", "expected"),
    [
        (16, 1, struct.pack("<HH", 65535, 5000), [255, 19]),
        (16, 0, struct.pack("<HH", 65535, 5000), [0, 236]),  # counted from white
        (12, 1, b"\xff\xf0\x00", [255, 0]),
    ],
)
def test_16_and_12_bit_tiff_is_scaled_to_its_own_range(bits, photometric, raw, expected):
    assert np.asarray(decode(tiff(2, 1, bits, photometric, raw)))[0, :, 0].tolist() == expected


def test_the_byte_order_of_16_bit_tiff_makes_no_difference():
    for mode in ("I;16", "I;16B"):
        assert pixel(encoded(Image.new(mode, (2, 2), 5000), "TIFF")) == (19, 19, 19)


@pytest.mark.parametrize("value", [-5, 100, 70000])
def test_signed_and_32_bit_tiff_is_refused_because_its_range_is_unknown(value):
    with pytest.raises(UnreadableError, match="signed or 32-bit"):
        decode(encoded(Image.new("I", (2, 2), value), "TIFF"))
    with pytest.raises(UnreadableError, match="signed or 32-bit"):
        decode(tiff(1, 1, 16, 1, struct.pack("<h", 5), (339, 3, 1, 2)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_damage_at_any_byte_never_raises_anything_else(kind):
    rng = np.random.default_rng(1)
    whole = encoded(Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)), kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(200):
            data = bytearray(whole)
            for at in rng.integers(0, min(len(data), 300), 3):
                data[at] = rng.integers(256)
            with contextlib.suppress(UnreadableError):
                assert decode(bytes(data)).mode == "RGB"


def test_float_pixels_are_refused_because_their_range_is_unknown():
    with pytest.raises(UnreadableError, match="float"):
        decode(encoded(Image.new("F", (2, 2), 0.5), "TIFF"))


def test_hostile_files_are_left_out_by_id_and_never_shift_the_pairing(make):
    grey = encoded(Image.new("L", (4, 4), 9))
    bad = {
        "truncated": grey[:40],
        "empty": b"",
        "page": b"<html>404</html>",
        "bomb": png(60000, 60000, 8, 0, b"\0"),
        "metadata": png(1, 1, 8, 0, b"\0\7", chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2_000_000)))),
        "claim": claiming(encoded(Image.new("RGB", (16, 16)), "JPEG"), 9000, 9000),
        "float": encoded(Image.new("F", (2, 2), 0.5), "TIFF"),
        "nothing": png(0, 0, 8, 0, b""),
    }
    good = {f"grey{level}": encoded(Image.new("L", (4, 4), level)) for level in range(len(bad))}
    mixed = [item for pair in zip(good.items(), bad.items(), strict=True) for item in pair]
    ids, images = [id_ for id_, _ in mixed], [data for _, data in mixed]
    data = make.load(make.parquet(images, [f"caption of {id_}" for id_ in ids], id=ids))
    assert [id_ for id_, _ in data.left_out] == list(bad) and all(reason for _, reason in data.left_out)
    assert data.ids == list(good)
    for level, sample in enumerate(data):
        assert sample.caption == f"caption of {sample.id}" == f"caption of grey{level}"
        assert sample.image.getpixel((0, 0)) == (level,) * 3
