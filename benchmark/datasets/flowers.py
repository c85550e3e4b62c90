"""Petals, centres, leaves and stems of the blooms, as coverage masks."""

from functools import cache
from typing import NamedTuple

import numpy as np

from benchmark.datasets.canvas import SUB, UNIT, Sprite, coverage, grown, outlined, plane
from benchmark.datasets.procedural import cosines

PETALS = {"four": 4, "five": 5, "six": 6, "eight": 8, "twelve": 12}
ROTATIONS = ("0", "1", "2", "3")
"""Turn of a flower, in quarters of the angle between two petals."""
_HALF_WIDTHS = {4: 400, 5: 375, 6: 315, 8: 235, 12: 160}
"""Half the width of a petal, such that neighbours do not overlap."""
_TURN = 1 << 14


class Flower(NamedTuple):
    """Coverage of a flower head's parts, int32 in 0..FULL, (side, side, 1), in painting order."""

    outline: np.ndarray
    rims: np.ndarray
    """The petals with their rims, which keep neighbours apart."""
    petals: np.ndarray
    centre_rim: np.ndarray
    centre: np.ndarray

    @property
    def side(self) -> int:
        """Width and height in pixels."""
        return self.outline.shape[0]


@cache
def flower(petals: str, petal_shape: str, radius: int, rotation: str) -> Flower:
    """Return a flower head of a radius in pixels."""
    n = PETALS[petals]
    u, v = plane(radius, radius + 2)
    rims, fill = np.zeros((2, u.size, u.size), bool)
    for petal in range(n):
        a, b = _turned(u, v, 270 + 360 * (len(ROTATIONS) * petal + int(rotation)) // (len(ROTATIONS) * n))
        inside = _petal(petal_shape, a, b, _HALF_WIDTHS[n])
        rims |= grown(inside, SUB // 2) & ~fill
        fill = (fill & ~grown(inside, SUB // 2)) | inside
    distance = u * u + v * v
    masks = (
        grown(rims | fill, SUB // 2),
        rims | fill,
        fill,
        distance <= 330**2,
        distance <= 330**2 - 250**2 + 90**2,
    )
    return Flower(*(coverage(mask) for mask in masks))


def _turned(u: np.ndarray, v: np.ndarray, degrees: int) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates along and across a direction, in whole degrees clockwise from the right."""
    table = cosines()
    cos, sin = table[degrees % 360], table[(degrees - 90) % 360]
    return (u * cos + v * sin) // _TURN, (v * cos - u * sin) // _TURN


def _petal(shape: str, along: np.ndarray, across: np.ndarray, width: int) -> np.ndarray:
    """Say which points belong to a petal from 100 to UNIT along its axis, with a half width `width`."""
    side = abs(across)
    if shape == "pointed":
        return (side * 450 <= (along - 60) * width) & (side * 650 <= (UNIT + 50 - along) * width)
    oval = ((along - 560) * width) ** 2 + (side * 440) ** 2 <= (440 * width) ** 2
    if shape == "round":
        return oval
    blunt = (along >= 100) & (side * 920 <= along * width) & (along <= UNIT)
    return (oval | blunt) & (side * 500 >= (along - 810) * width)


@cache
def leaf(shape: str, mirrored: bool) -> Sprite:
    """Return a leaf (narrow, broad or lobed) that points up and to the right, or to the left if mirrored."""
    u, v = plane(8, 11)
    a, b = _turned(-u if mirrored else u, v, 322)
    if shape == "narrow":
        inside = a * a * 5 + b * b * 90 <= 6 * UNIT**2
    elif shape == "broad":
        inside = a * a * 2 + b * b * 6 <= 2 * UNIT**2
    else:
        inside = (abs(b) <= 150) & (abs(a) <= UNIT)
        for along, across, reach in ((-330, 420, 330), (330, 400, 300), (850, 0, 300)):
            inside |= (a - along) ** 2 + (abs(b) - across) ** 2 <= reach**2
    return outlined(inside)


@cache
def stem(x: int, y: int, foot: int, bend: int, size: int) -> Sprite:
    """Return a stem as a sprite of the whole image, from (x, y) to (`foot`, `size`) pixels.

    It leaves the straight line by `bend` pixels to the right half way down.
    """
    points = 2 * np.arange(size * SUB, dtype=np.int64) + 1
    top, length = 2 * SUB * y, 2 * SUB * (size - y)
    t = (points - top).clip(0)
    middle = 2 * SUB * x + 2 * SUB * (foot - x) * t // length + 8 * SUB * bend * t * (length - t) // length**2
    offset = abs(points[None, :] - middle[:, None])
    below = (points > top)[:, None]
    return Sprite(coverage((offset <= 2 * SUB) & below), coverage((offset <= 4 * SUB) & below))
