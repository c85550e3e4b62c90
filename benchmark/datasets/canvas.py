"""Drawing with integers only, so that an image has the same bytes on every machine.

A figure is a predicate on a grid with SUB x SUB sample points a pixel; summing them gives the coverage of each pixel.
Images under construction are int32 arrays (height, width, 3); `finish` turns one into uint8.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

Colour = tuple[int, int, int]

SUB = 4
FULL = SUB * SUB
UNIT = 1000
"""Length of a figure's radius in the coordinates of its predicate."""


class Sprite(NamedTuple):
    """Coverage of a figure, int32 in 0..FULL, (height, width, 1), cropped to its outline."""

    fill: np.ndarray
    edge: np.ndarray
    """The figure grown by its outline."""

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.edge.shape[0]

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.edge.shape[1]


def plane(radius: int, half: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 coordinates u (rightwards) and v (downwards) of the sample points of a square of 2 `half` pixels.

    The centre of the square is (0, 0), and `radius` pixels are UNIT long.
    """
    n = 2 * half * SUB
    axis = (2 * np.arange(n, dtype=np.int64) + 1 - n) * UNIT // (2 * SUB * radius)
    return axis[None, :], axis[:, None]


def coverage(inside: np.ndarray) -> np.ndarray:
    """Count the sample points of each pixel that are inside: bool (H * SUB, W * SUB) -> int32 (H, W, 1) in 0..FULL."""
    height, width = inside.shape[0] // SUB, inside.shape[1] // SUB
    return inside.reshape(height, SUB, width, SUB).sum((1, 3), dtype=np.int32)[:, :, None]


def grown(inside: np.ndarray, reach: int) -> np.ndarray:
    """Grow a figure by a disc of radius `reach` sample points."""
    n, m = inside.shape
    padded = np.pad(inside, reach)
    result = np.zeros_like(inside)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dx * dx + dy * dy <= reach * reach:
                result |= padded[reach + dy : reach + dy + n, reach + dx : reach + dx + m]
    return result


def outlined(inside: np.ndarray) -> Sprite:
    """Return the sprite of a figure with an outline of one pixel, cropped."""
    fill, edge = coverage(inside), coverage(grown(inside, SUB))
    rows, columns = np.flatnonzero(edge.any((1, 2))), np.flatnonzero(edge.any((0, 2)))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Sprite(fill[box], edge[box])


def paint(image: np.ndarray, alpha: np.ndarray, x: int, y: int, colour: Colour) -> None:
    """Blend `colour` into `image` in place where `alpha` (coverage) lies with its top left pixel at (x, y).

    What falls outside the image is cut off.
    """
    height, width = image.shape[:2]
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(alpha.shape[0], height - y), min(alpha.shape[1], width - x)
    if top >= bottom or left >= right:
        return
    region = image[y + top : y + bottom, x + left : x + right]
    region += (np.array(colour, np.int32) - region) * alpha[top:bottom, left:right] // FULL


def stamp(image: np.ndarray, sprite: Sprite, x: int, y: int, colour: Colour) -> None:
    """Draw a sprite in `colour` with an outline that is dark, or light if the colour is dark."""
    edge = (225, 225, 225) if sum(colour) < 120 else (25, 22, 28)
    paint(image, sprite.edge, x, y, edge)
    paint(image, sprite.fill, x, y, colour)


@cache
def texture(name: str, size: int, phase: int) -> np.ndarray:
    """Return an overlay, int32 (size, size, 1), of the texture none, stripes, checks or dots, shifted by `phase`."""
    y, x = np.mgrid[phase : size + phase, phase : size + phase].astype(np.int32)
    sign = {
        "none": 0 * x,
        "stripes": np.where((x + y) % 8 < 4, 1, -1),
        "checks": np.where((x // 6 + y // 6) % 2 == 0, 1, -1),
        "dots": np.where((x % 7 - 3) ** 2 + (y % 7 - 3) ** 2 <= 4, 2, -1),
    }[name]
    return (sign * 11)[:, :, None]


@cache
def gains(level: int, slope: int, size: int) -> np.ndarray:
    """Return the brightness of each column in 1/256, int32 (1, size, 1): `level` in the middle, rising by `slope`."""
    x = np.arange(size, dtype=np.int32)
    return (level + slope * (2 * x + 1 - size) // (2 * size))[None, :, None]


def finish(image: np.ndarray, level: int, slope: int, grain: np.ndarray, amplitude: int) -> np.ndarray:
    """Light an image (see `gains`), add `grain` (-128..127) scaled to +-`amplitude`, and return it as uint8."""
    lit = (image * gains(level, slope, image.shape[1]) >> 8) + (grain * amplitude >> 7)
    return np.clip(lit, 0, 255).astype(np.uint8)
