"""The eight outlined shapes of the scenes."""

from functools import cache

import numpy as np

from benchmark.datasets.canvas import UNIT, Sprite, outlined, plane
from benchmark.datasets.procedural import cosines

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "diamond", "heart")


@cache
def shape_sprite(shape: str, radius: int) -> Sprite:
    """Return the sprite of one of SHAPES with a radius in pixels."""
    return outlined(_inside(shape, *plane(radius, radius + radius // 4 + 2)))


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Say which points of the plane (radius UNIT) belong to the shape."""
    across, down = abs(u), abs(v)
    distance = u * u + v * v
    if shape == "circle":
        return distance <= UNIT**2
    if shape == "square":
        return (across <= 900) & (down <= 900)
    if shape == "triangle":
        return (v <= 900) & (across * 1900 <= (v + 1000) * 1080)
    if shape == "star":
        return _star(u, v)
    if shape == "cross":
        return ((across <= 340) & (down <= 1000)) | ((down <= 340) & (across <= 1000))
    if shape == "ring":
        return (distance <= 1050**2) & (distance >= 590**2)
    if shape == "diamond":
        return across * 4 + down * 3 <= 3200
    lobes = (across - 500) ** 2 + (v + 400) ** 2 <= 530**2
    return lobes | ((v >= -150) & (across * 1150 <= (1000 - v) * 950))


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Points on the inner side of at least four of the five lines of a pentagram with tips at 1100.

    A pentagram's lines lie at cos(72 degrees) of the distance of its tips.
    """
    turn = cosines()
    beyond = sum((u * turn[(90 + a) % 360] - v * turn[a] > 1100 * turn[72]).astype(np.int32) for a in range(0, 360, 72))
    return np.asarray(beyond <= 1)
