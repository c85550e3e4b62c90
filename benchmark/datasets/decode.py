"""Encoded image -> upright RGB image, or a reason why not."""

import io
import warnings
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""What is decoded. Pillow knows more, but its EPS reader starts Ghostscript and its TGA reader accepts noise."""
ORIENTATION = 0x0112
BITS, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
SCANNED_PIXELS = 20_000_000_000
"""Pixels that a JPEG's scans may cover in all, about 8 s of work; a few bytes make a scan."""

# Pillow warns of every damaged EXIF tag of every image, in every epoch; what matters here is `UnreadableError`.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class UnreadableError(Exception):
    """The image cannot be used; the message says why."""


def decode(data: bytes) -> Image.Image:
    """Return the (first) image in `data` as RGB without metadata, turned upright by its EXIF tag.

    Transparency is composited on white. 16-bit pixels are scaled to 8 bits (65535 -> 255). Embedded colour profiles are
    not applied and CMYK is converted without one, as in the preprocessing that the encoders were trained with. Raises
    UnreadableError for anything that is not a whole, decodable image in one of `FORMATS` of at most
    `Image.MAX_IMAGE_PIXELS` pixels. Damage that leaves a JPEG decodable cannot be seen: the format has no checksum.
    """
    if not data:
        raise UnreadableError("the image is empty")
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            _check_size(image)
            if data.startswith(b"\xff\xd8"):
                _check_jpeg(image, data)
            image.load()
            _turn_upright(image)
            upright = _rgb(image)
            upright.info.clear()
            return upright
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableError(f"more than {Image.MAX_IMAGE_PIXELS} pixels (a decompression bomb?)") from None
    except Image.UnidentifiedImageError:
        page = data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
        raise UnreadableError("a web page or SVG text" if page else "not an image of a known format") from None
    except UnreadableError:
        raise
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, ... on damaged files
        raise UnreadableError(" ".join(f"{type(error).__name__}: {error}".split())) from None


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _check_size(image: Image.Image) -> None:
    """Refuse bombs even where Pillow's warning about them is silenced."""
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


def _check_jpeg(image: Image.Image, data: bytes) -> None:
    """Refuse what the JPEG decoder takes without an error: missing pixels (it paints them grey) and endless scans."""
    pixels = image.width * image.height
    # Huffman coding spends at least one bit on a block, and no subsampling makes a block cover more than 128 pixels.
    if len(data) * 8 * 128 < pixels:
        raise UnreadableError(f"{len(data)} bytes cannot hold {image.width} x {image.height} pixels of JPEG")
    # A scan takes at least 10 bytes, so ordinary photos are not searched for them.
    if len(data) // 10 * pixels > SCANNED_PIXELS and data.count(b"\xff\xda") * pixels > SCANNED_PIXELS:
        raise UnreadableError("a JPEG of too many scans (a decompression bomb?)")


def _turn_upright(image: Image.Image) -> None:
    try:
        turned = image.getexif().get(ORIENTATION, 1) != 1
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return
    if turned:
        ImageOps.exif_transpose(image, in_place=True)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.mode == "F":
        raise UnreadableError("float pixels have no defined range; store 8-bit or 16-bit integers")
    if image.has_transparency_data:
        key = image.info.get("transparency")
        if isinstance(key, tuple) and max(key) > 255:
            raise UnreadableError("a transparent colour of 16 bits is lost at 8 bits; store an alpha channel")
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    # A copy would take as long as decoding a small photo: fresh memory is slow.
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale to 8 bits: Pillow's own conversion clips at 255, which turns 16-bit images white."""
    tags: Any = getattr(image, "tag_v2", {})
    if tags and image.mode == "I":
        raise UnreadableError("signed or 32-bit pixels have no defined range; store 8-bit or 16-bit unsigned integers")
    # Mode I is what Pillow gives for 16-bit PPM; TIFF may hold 12 bits, and may count from white.
    top = 2 ** tags.get(BITS, (16,))[0] - 1
    wide = np.asarray(image).astype(np.uint32)
    shown = top - wide if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else wide
    grey = ((shown * 255 + top // 2) // top).astype(np.uint8)
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey[wide == key] = 255
    return Image.fromarray(grey).convert("RGB")
