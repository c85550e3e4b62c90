"""The eight places of the scenes: a palette and a simple structure each."""

from functools import cache

import numpy as np

from benchmark.datasets.canvas import Colour

PLACES = ("desert", "sea", "forest", "snow", "city", "night", "field", "cave")


@cache
def backdrop(place: str, size: int) -> np.ndarray:
    """Return a wide view of one of PLACES, int32 (size, 2 * size, 3); windows on it are `size` wide."""
    y, x = np.mgrid[:size, : 2 * size].astype(np.int32)
    return {
        "desert": _desert,
        "sea": _sea,
        "forest": _forest,
        "snow": _snow,
        "city": _city,
        "night": _night,
        "field": _field,
        "cave": _cave,
    }[place](x, y, size)


def _fade(y: np.ndarray, size: int, top: Colour, bottom: Colour) -> np.ndarray:
    """Blend two colours from the top row to the bottom row."""
    part = y[:, :, None]
    return (np.array(top, np.int32) * (size - part) + np.array(bottom, np.int32) * part) // size


def _arch(x: np.ndarray, period: int, height: int) -> np.ndarray:
    """Return parabolic humps of a given period and height, in pixels."""
    p = x % period
    return 4 * height * p * (period - p) // period**2


def _scatter(x: np.ndarray, y: np.ndarray, one_in: int) -> np.ndarray:
    """Return a fixed sprinkling of single pixels, about one in `one_in`."""
    h = (x * 7919 + y * 104729 + 1) & 0xFFFF
    for multiplier in (24593, 12289, 30011):
        h = ((h ^ (h >> 7)) * multiplier) & 0xFFFF
    return (h >> 5) % one_in == 0


def _desert(x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    image = _fade(y, size, (250, 222, 160), (255, 240, 205))
    far, near = 24 - _arch(x, 37, 8), 37 - _arch(x + 15, 53, 10)
    image[y >= far] = (226, 180, 105)
    image[(y >= far) & ((x % 37) > 18)] = (205, 155, 85)
    image[y >= near] = (236, 195, 120)
    image[(y >= near) & (((x + 15) % 53) > 27)] = (215, 168, 95)
    return image


def _sea(x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    image = _fade(y, size, (190, 225, 245), (215, 240, 250))
    water = y >= 15
    image[water] = _fade(y, size, (70, 160, 205), (15, 75, 140))[water]
    for row, top in enumerate(range(18, size, 6)):
        crest = top + _arch(x + 5 * row, 12, 3)
        image[(y == crest) & water] = (205, 235, 245)
    return image


def _forest(x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    image = _fade(y, size, (90, 145, 85), (125, 170, 105))
    image[y >= 39] = (70, 95, 45)
    trunk = (x % 13 < 4) & (y > 8) & (y < 42)
    image[trunk] = (92, 62, 38)
    image[trunk & (x % 13 == 3)] = (66, 44, 28)
    crown = y < 14 + _arch(x + 4, 13, 5) - 2
    image[crown] = (32, 88, 42)
    image[crown & _scatter(x, y, 5)] = (55, 120, 58)
    return image


def _snow(x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    image = _fade(y, size, (165, 185, 210), (205, 217, 232))
    image[y >= 36 - _arch(x, 61, 8)] = (240, 245, 250)
    image[y >= 42 - _arch(x + 30, 47, 5)] = (224, 232, 243)
    image[_scatter(x // 2, y // 2, 14)] = (255, 255, 255)
    # A bare fir at every 30 columns: snow is otherwise white on white.
    fir = (abs(x % 30 - 15) * 2 <= y - 17) & (y < 33)
    image[fir] = (95, 125, 130)
    image[fir & (y % 5 < 2)] = (250, 252, 255)
    return image


def _city(x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    image = _fade(y, size, (175, 178, 186), (205, 203, 200))
    block = x // 8
    roof = 8 + (block * 29 + block * block * 7) % 17
    wall = y >= roof
    shade = (block % 3)[:, :, None] * 14
    image[wall] = (np.array((92, 94, 106), np.int32) + shade + 0 * image)[wall]
    window = wall & (x % 4 == 2) & ((y - roof) % 4 >= 2) & (y < 43)
    image[window] = (235, 220, 140)
    image[wall & (x % 8 == 0)] = (70, 72, 82)
    image[y >= 43] = (62, 62, 66)
    image[(y == 45) & (x % 8 < 4)] = (225, 225, 215)
    return image


def _night(x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    image = _fade(y, size, (10, 12, 38), (36, 36, 84))
    image[_scatter(x, y, 38)] = (240, 240, 215)
    moon_x = x % size
    disc = (moon_x - 38) ** 2 + (y - 9) ** 2 <= 36
    bite = (moon_x - 35) ** 2 + (y - 7) ** 2 <= 25
    image[disc & ~bite] = (250, 245, 205)
    return image


def _field(x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    image = _fade(y, size, (130, 190, 240), (190, 225, 250))
    ground = y >= 18
    image[ground] = _fade(y, size, (165, 205, 85), (105, 175, 55))[ground]
    # Furrows fan out from a point on the horizon.
    fan = (x - size) * 64 // (y - 8).clip(1)
    image[ground & (fan % 48 < 14)] = (88, 150, 50)
    image[ground & _scatter(x // 2, y // 2, 40)] = (250, 240, 130)
    return image


def _cave(x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    image = _fade(y, size, (100, 82, 74), (122, 102, 90))
    spike = abs(x % 11 - 5)
    length = 16 - (x // 11 * 5) % 9
    above = y * 5 <= (5 - spike) * length + 12
    rock = above | ((size - 1 - y) * 5 <= (5 - abs((x + 4) % 11 - 5)) * (9 + ((x + 4) // 11 * 4) % 7) + 12)
    image[rock] = (48, 38, 36)
    image[rock & _scatter(x, y, 9)] = (66, 54, 50)
    return image
