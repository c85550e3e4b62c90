"""Procedural scenes: captioned concepts (shape, colour, size, count, relation, place) and uncaptioned nuisances.

The planted factors are the ground truth for concept recovery: image and caption of a sample share the concepts, and
only the image shows the nuisances. Captions vary their wording and leave concepts out.
"""

from functools import cache

import numpy as np

from benchmark.datasets.canvas import FULL, Colour, finish, paint, stamp, texture
from benchmark.datasets.procedural import Draws, ProceduralSample, Weights, shifted
from benchmark.datasets.scene_captions import write_caption
from benchmark.datasets.scene_layout import arrange
from benchmark.datasets.scenery import backdrop

SIZE = 48

_SHAPE_WEIGHTS = {
    "circle": 6,
    "square": 6,
    "triangle": 5,
    "star": 5,
    "heart": 5,
    "ring": 4,
    "cross": 4,
    "diamond": 4,
}
_COLOUR_WEIGHTS = {
    "red": 6,
    "blue": 6,
    "green": 5,
    "yellow": 5,
    "white": 4,
    "black": 4,
    "purple": 4,
    "orange": 4,
}
WEIGHTS: dict[str, dict[str, int]] = {
    "shape": _SHAPE_WEIGHTS,
    "colour": _COLOUR_WEIGHTS,
    "size": {"small": 5, "big": 4},
    "count": {"one": 4, "two": 3, "three": 3, "four": 2},
    "relation": {"alone": 8, "riding": 4, "above": 3, "beside": 4, "inside": 3, "behind": 3, "chasing": 3},
    "shape2": _SHAPE_WEIGHTS,
    "colour2": _COLOUR_WEIGHTS,
    "place": {"desert": 5, "sea": 6, "forest": 5, "snow": 4, "city": 5, "night": 4, "field": 5, "cave": 4},
    "texture": {"none": 3, "stripes": 2, "checks": 2, "dots": 2},
    "level": {"dim": 1, "normal": 2, "bright": 1},
    "gradient": {"left": 1, "even": 1, "right": 1},
    "noise": {"low": 1, "medium": 1, "high": 1},
    "column": {"left": 1, "middle": 1, "right": 1},
    "row": {"top": 1, "middle": 1, "bottom": 1},
}
"""How often each value of each factor is drawn; shape2 and colour2 only where there is a second object, and a count
above one only where there is none."""
NUISANCES = ("texture", "level", "gradient", "noise", "column", "row")
"""The factors that no caption mentions."""
FACTORS: dict[str, tuple[str, ...]] = {
    name: (("none",) if name in ("shape2", "colour2") else ()) + tuple(weights) for name, weights in WEIGHTS.items()
}
"""The values of every categorical factor."""

COLOURS: dict[str, Colour] = {
    "red": (220, 35, 40),
    "green": (35, 180, 60),
    "blue": (45, 80, 225),
    "yellow": (245, 220, 45),
    "purple": (150, 55, 195),
    "orange": (245, 135, 25),
    "white": (248, 248, 248),
    "black": (18, 18, 20),
}
"""RGB of the objects before lighting."""
LEVELS = {"dim": 195, "normal": 235, "bright": 272}
"""Brightness in 1/256."""
SLOPES = {"left": -110, "even": 0, "right": 110}
"""Rise of the brightness from the left to the right edge, in 1/256: light comes from this side."""
GRAINS = {"low": 4, "medium": 14, "high": 28}
"""Largest deviation of a pixel by noise."""
STREAKS: Colour = (250, 250, 250)


def sample(seed: int, index: int, shift: int = 1) -> ProceduralSample:
    """Make sample `index` of the scenes with this seed: image (48, 48, 3) uint8, caption, factors.

    Every second value of the captioned factors is `shift` times as frequent. It depends on the arguments only. Raises
    InputError if seed or index is negative.
    """
    draws, weights = Draws(seed, index), _weights(shift)
    factors = {name: draws.weighted(values) for name, values in weights.items()}
    if factors["relation"] == "alone":
        factors["shape2"] = factors["colour2"] = "none"
    else:
        factors["count"] = "one"
        if factors["colour2"] == factors["colour"]:
            others = {name: weight for name, weight in weights["colour2"].items() if name != factors["colour"]}
            factors["colour2"] = draws.weighted(others)
    caption, says = write_caption(draws, factors)
    image = _render(draws, factors)
    return ProceduralSample(image, caption, {**factors, **says})


@cache
def _weights(shift: int) -> Weights:
    return shifted(WEIGHTS, NUISANCES, shift)


def _render(draws: Draws, factors: dict[str, str]) -> np.ndarray:
    """Paint place, texture and objects, then light the scene and add noise: uint8 (SIZE, SIZE, 3)."""
    shift = draws.below(SIZE + 1)
    image = backdrop(factors["place"], SIZE)[:, shift : shift + SIZE].copy()
    image += texture(factors["texture"], SIZE, draws.below(12))
    layout = arrange(draws, factors, SIZE)
    for x, y, length in layout.streaks:
        paint(image, np.full((2, length, 1), FULL, np.int32), x, y + 1, (40, 38, 45))
        paint(image, np.full((1, length, 1), FULL, np.int32), x, y, STREAKS)
    for piece in layout.pieces:
        stamp(image, piece.sprite, piece.x, piece.y, COLOURS[piece.colour])
    grain = draws.grain(SIZE, SIZE)
    return finish(image, LEVELS[factors["level"]], SLOPES[factors["gradient"]], grain, GRAINS[factors["noise"]])
