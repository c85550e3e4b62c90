"""Procedural blooms: a narrow domain of flowers with planted traits, captioned in its own vocabulary.

The factors are the ground truth for concept recovery: image and caption share the traits, and only the image shows
the nuisances (background, light, noise, rotation, scale).
"""

from functools import cache

import numpy as np

from benchmark.datasets.bloom_captions import write_caption
from benchmark.datasets.canvas import Colour, finish, paint, stamp
from benchmark.datasets.flowers import PETALS, ROTATIONS, flower, leaf, stem
from benchmark.datasets.procedural import Draws, ProceduralSample, Weights, shifted

SIZE = 48

WEIGHTS: dict[str, dict[str, int]] = {
    "growth": {"single": 5, "pair": 2, "cluster": 3},
    "colour": {"red": 6, "pink": 6, "yellow": 5, "white": 5, "purple": 5, "orange": 4, "blue": 4, "maroon": 3},
    "petals": dict(zip(PETALS, (3, 6, 4, 4, 3), strict=True)),
    "petal_shape": {"round": 5, "pointed": 4, "notched": 3},
    "centre": {"yellow": 5, "brown": 4, "white": 3, "green": 3},
    "leaf": {"none": 3, "narrow": 4, "broad": 4, "lobed": 3},
    "stem": {"straight": 4, "curved": 3},
    "background": {"soil": 1, "grass": 1, "sky": 1, "bokeh": 1},
    "level": {"dim": 1, "normal": 2, "bright": 1},
    "gradient": {"left": 1, "even": 1, "right": 1},
    "noise": {"low": 1, "medium": 1, "high": 1},
    "rotation": {rotation: 1 for rotation in ROTATIONS},
    "scale": {"small": 1, "large": 1},
}
"""How often each value of each factor is drawn; all factors are independent."""
NUISANCES = ("background", "level", "gradient", "noise", "rotation", "scale")
"""The factors that no caption mentions."""
FACTORS: dict[str, tuple[str, ...]] = {name: tuple(weights) for name, weights in WEIGHTS.items()}
"""The values of every categorical factor."""

COLOURS: dict[str, Colour] = {
    "red": (225, 35, 40),
    "pink": (250, 140, 185),
    "orange": (250, 135, 25),
    "yellow": (250, 225, 55),
    "purple": (145, 65, 205),
    "blue": (60, 95, 230),
    "white": (250, 250, 250),
    "maroon": (115, 15, 50),
}
"""RGB of the petals before lighting."""
CENTRES: dict[str, Colour] = {
    "yellow": (255, 210, 30),
    "brown": (105, 62, 25),
    "white": (252, 250, 240),
    "green": (125, 205, 50),
}
LEVELS = {"dim": 195, "normal": 235, "bright": 265}
"""Brightness in 1/256."""
SLOPES = {"left": -100, "even": 0, "right": 100}
"""Rise of the brightness from the left to the right edge, in 1/256: light comes from this side."""
GRAINS = {"low": 4, "medium": 13, "high": 26}
"""Largest deviation of a pixel by noise."""
GREEN: Colour = (50, 145, 60)
_HEADS: dict[str, tuple[dict[str, int], tuple[tuple[int, int], ...]]] = {
    "single": ({"small": 13, "large": 15}, ((24, 17),)),
    "pair": ({"small": 10, "large": 11}, ((12, 19), (36, 13))),
    "cluster": ({"small": 9, "large": 10}, ((12, 22), (36, 20), (24, 11))),
}
"""Radius by scale and centres of the flower heads, in pixels."""


def sample(seed: int, index: int, shift: int = 1) -> ProceduralSample:
    """Make sample `index` of the blooms with this seed: image (48, 48, 3) uint8, caption, factors.

    Every second value of the captioned factors is `shift` times as frequent. It depends on the arguments only. Raises
    InputError if seed or index is negative.
    """
    draws = Draws(seed, index)
    factors = {name: draws.weighted(values) for name, values in _weights(shift).items()}
    caption, says = write_caption(draws, factors)
    return ProceduralSample(_render(draws, factors), caption, {**factors, **says})


@cache
def _weights(shift: int) -> Weights:
    return shifted(WEIGHTS, NUISANCES, shift)


def _render(draws: Draws, factors: dict[str, str]) -> np.ndarray:
    """Paint background, stems, leaves and flower heads, then light and add noise: uint8 (SIZE, SIZE, 3)."""
    shift = draws.below(SIZE + 1)
    image = _background(factors["background"])[:, shift : shift + SIZE].copy()
    radii, places = _HEADS[factors["growth"]]
    heads = [(x - 1 + draws.below(3), y - 1 + draws.below(3)) for x, y in places]
    side = 1 if draws.below(2) else -1
    foot, bend = (24, 0) if factors["stem"] == "straight" else (24 + 7 * side, -5 * side)
    for x, y in heads:
        stamp(image, stem(x, y, foot, bend, SIZE), 0, 0, GREEN)
    if factors["leaf"] != "none":
        for mirrored in (False, True):
            sprite = leaf(factors["leaf"], mirrored)
            stamp(image, sprite, foot - sprite.width if mirrored else foot, SIZE - sprite.height, GREEN)
    colour = COLOURS[factors["colour"]]
    rim: Colour = (colour[0] // 2, colour[1] // 2, colour[2] // 2)
    head = flower(factors["petals"], factors["petal_shape"], radii[factors["scale"]], factors["rotation"])
    paints = ((20, 20, 20), rim, colour, (45, 35, 25), CENTRES[factors["centre"]])
    for x, y in heads:
        for alpha, paint_colour in zip(head, paints, strict=True):
            paint(image, alpha, x - head.side // 2, y - head.side // 2, paint_colour)
    grain = draws.grain(SIZE, SIZE)
    return finish(image, LEVELS[factors["level"]], SLOPES[factors["gradient"]], grain, GRAINS[factors["noise"]])


@cache
def _background(name: str) -> np.ndarray:
    """Return a wide background, int32 (SIZE, 2 * SIZE, 3); windows on it are SIZE wide."""
    y, x = np.mgrid[:SIZE, : 2 * SIZE].astype(np.int32)
    image = np.zeros((SIZE, 2 * SIZE, 3), np.int32)
    if name == "soil":
        image[:] = (150, 115, 85)
        image[(x * 5 + y * y) % 23 < 5] = (128, 95, 68)
        image[(x * x + y * 7) % 29 < 3] = (170, 136, 104)
    elif name == "grass":
        image[:] = (175, 210, 130)
        image[(x * 3 + (x // 5) * y // 6) % 11 < 3] = (150, 195, 105)
        image[(x * 2 - y // 2) % 17 < 2] = (198, 226, 152)
    elif name == "sky":
        image[:] = np.stack([150 + y, 200 + y // 2, 240 + 0 * y], -1)
        for cx, cy, r in ((12, 14, 7), (20, 12, 9), (30, 15, 6), (66, 33, 8), (76, 31, 10), (86, 34, 6)):
            image[(x - cx) ** 2 + 3 * (y - cy) ** 2 <= r * r] = (235, 243, 250)
    else:
        image[:] = (85, 105, 90)
        for cx, cy, r in ((8, 9, 8), (30, 38, 10), (45, 12, 7), (60, 30, 9), (75, 8, 8), (88, 36, 7), (16, 30, 5)):
            image[(x - cx) ** 2 + (y - cy) ** 2 <= r * r] += np.array((50, 48, 30), np.int32)
    return image
