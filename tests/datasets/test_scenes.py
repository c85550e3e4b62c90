"""Claims about the pictures of the scenes."""

from functools import cache

import numpy as np
import pytest

from benchmark.datasets import scenes
from benchmark.datasets.procedural import Draws
from benchmark.datasets.scene_layout import RADII, arrange
from benchmark.datasets.scenery import PLACES, backdrop
from benchmark.datasets.shapes import SHAPES, shape_sprite


@cache
def made(index):
    return scenes.sample(7, index)


def planted(**wanted):
    """Return 40 samples with the given factors."""
    found, index = [], 0
    while len(found) < 40:
        sample = made(index)
        index += 1
        if all(sample.factors[key] == value for key, value in wanted.items()):
            found.append(sample)
    return found


def near(image, colour, tolerance=30):
    return (abs(image.astype(int) - np.array(colour)).max(-1) <= tolerance).sum()


@pytest.mark.parametrize("colour", scenes.COLOURS)
def test_the_planted_colours_are_on_the_image(colour):
    light = np.array([scenes.LEVELS["normal"] / 256])
    for key in ("colour", "colour2"):
        for sample in planted(**{key: colour, "level": "normal", "gradient": "even", "noise": "low"}):
            # The main object may be half hidden behind the second one, which may be half hidden by it in turn.
            assert near(sample.image, scenes.COLOURS[colour] * light) >= 15


def _factors(**values):
    base = {"shape": "circle", "colour": "red", "size": "small", "count": "one", "relation": "alone"}
    return {**base, "shape2": "square", "colour2": "blue", "column": "middle", "row": "middle", **values}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", RADII)
def test_the_count_is_the_number_of_separate_objects_in_the_frame(shape, size):
    for number, count in enumerate(("one", "two", "three", "four"), 1):
        for index in range(20):
            pieces = arrange(Draws(0, index), _factors(shape=shape, size=size, count=count), 48).pieces
            assert len(pieces) == number
            taken = np.zeros((48, 48), int)
            for piece in pieces:
                assert piece.x >= 0 and piece.y >= 0
                box = taken[piece.y : piece.y + piece.sprite.height, piece.x : piece.x + piece.sprite.width]
                assert box.shape == (piece.sprite.height, piece.sprite.width)
                box += 1
            assert taken.max() == 1


@pytest.mark.parametrize("size", RADII)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shape2", SHAPES)
def test_relations_place_the_objects_as_they_say(shape, shape2, size):
    for relation in scenes.WEIGHTS["relation"]:
        if relation == "alone":
            continue
        layout = arrange(Draws(1, 1), _factors(shape=shape, shape2=shape2, size=size, relation=relation), 48)
        main = next(piece for piece in layout.pieces if piece.colour == "red")
        other = next(piece for piece in layout.pieces if piece.colour == "blue")
        under, right = main.y + main.sprite.height, main.x + main.sprite.width
        assert (layout.pieces[-1] is other) == (relation == "behind")
        assert bool(layout.streaks) == (relation == "chasing")
        if relation == "riding":
            assert under - other.y == 2  # the outlines overlap
        elif relation == "above":
            assert under < other.y
        elif relation == "inside":
            assert other.x < main.x and other.y < main.y
            assert right < other.x + other.sprite.width and under < other.y + other.sprite.height
        elif relation == "behind":
            assert right > other.x and main.x < other.x + other.sprite.width and under > other.y
            assert main.x < other.x or right > other.x + other.sprite.width
        else:
            assert right < other.x or main.x > other.x + other.sprite.width
        if relation == "chasing":
            ahead = other.x > main.x
            assert all((x < main.x) == ahead and (x > right) != ahead for x, _, _ in layout.streaks)
        # At most one pixel of an outline is cut off at an edge.
        for piece in layout.pieces:
            assert piece.x >= -1 and piece.y >= -1
            assert piece.x + piece.sprite.width <= 49 and piece.y + piece.sprite.height <= 49


def test_the_eight_shapes_and_places_look_different():
    shapes = [np.pad(s.fill[..., 0], ((0, 40 - s.height), (0, 40 - s.width))) for s in map(_sprite, SHAPES)]
    assert min(abs(a - b).sum() for i, a in enumerate(shapes) for b in shapes[:i]) > 16 * 40
    places = [backdrop(place, 48) for place in PLACES]
    assert min(abs(a - b).mean() for i, a in enumerate(places) for b in places[:i]) > 15


def _sprite(shape):
    return shape_sprite(shape, 10)


def test_the_tip_of_a_star_points_up():
    fill = shape_sprite("star", 20).fill[..., 0]
    assert 0 < (fill[3] > 0).sum() < 8
    assert abs(fill - fill[:, ::-1]).max() <= 4
