"""Encoded image -> upright RGB image, or a reason why not."""

import io

import numpy as np
from PIL import Image, ImageOps


class UnreadableError(Exception):
    """The image cannot be used; the message says why."""


def decode(data: bytes) -> Image.Image:
    """Return the (first) image in `data` as RGB, turned upright by its EXIF tag, transparency composited on white.

    16-bit grey is scaled to 8 bits (65535 -> 255). Raises UnreadableError for anything that is not a whole, decodable
    image of at most `Image.MAX_IMAGE_PIXELS` pixels.
    """
    if not data:
        raise UnreadableError("the image is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            _check_size(image)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _rgb(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableError(f"more than {Image.MAX_IMAGE_PIXELS} pixels (a decompression bomb?)") from None
    except Image.UnidentifiedImageError:
        raise UnreadableError("not an image of a known format") from None
    except UnreadableError:
        raise
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, ... on damaged files
        raise UnreadableError(" ".join(f"{type(error).__name__}: {error}".split())) from None


def _check_size(image: Image.Image) -> None:
    """Refuse bombs even where Pillow's warning about them is silenced."""
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow's own conversion clips at 255, which turns 16-bit images white. Mode I is what its readers of 16-bit
        # grey give where they do not give I;16.
        wide = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise UnreadableError("float pixels have no defined range; store 8-bit or 16-bit integers")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")
