"""Claims about the pictures of the blooms."""

from functools import cache

import numpy as np
import pytest

from benchmark.datasets import blooms
from benchmark.datasets.canvas import FULL
from benchmark.datasets.flowers import PETALS, ROTATIONS, flower, leaf, stem


@cache
def made(index):
    return blooms.sample(7, index)


def planted(**wanted):
    """Return 15 samples with the given factors in plain light."""
    found, index = [], 0
    wanted |= {"level": "normal", "gradient": "even", "noise": "low"}
    while len(found) < 15:
        sample = made(index)
        index += 1
        if all(sample.factors[key] == value for key, value in wanted.items()):
            found.append(sample)
    return found


def near(image, colour, tolerance=30):
    light = blooms.LEVELS["normal"] / 256
    return (abs(image.astype(int) - np.array(colour) * light).max(-1) <= tolerance).sum()


@pytest.mark.parametrize("colour", blooms.COLOURS)
def test_the_planted_petal_colour_is_on_the_image(colour):
    assert min(near(s.image, blooms.COLOURS[colour]) for s in planted(colour=colour)) >= 100


@pytest.mark.parametrize("centre", blooms.CENTRES)
def test_the_planted_centre_colour_is_on_the_image(centre):
    assert min(near(s.image, blooms.CENTRES[centre]) for s in planted(centre=centre)) >= 12


def _arcs(mask, radius):
    """Count the stretches of a mask on a circle around its centre."""
    angles = np.arange(720) * np.pi / 360
    middle = (mask.shape[0] - 1) / 2
    x, y = (np.round(middle + radius * f(angles)).astype(int) for f in (np.cos, np.sin))
    ring = mask[y, x]
    return int((ring & ~np.roll(ring, 1)).sum())


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("petals", PETALS)
def test_as_many_petals_can_be_counted_as_are_planted(petals, rotation):
    for shape in ("round", "pointed"):
        counts = [
            _arcs(flower(petals, shape, 15, rotation).petals[..., 0] > level, radius)
            for radius in (11, 12, 13)
            for level in (FULL // 4, FULL // 2, 3 * FULL // 4)
        ]
        assert PETALS[petals] in counts, (shape, counts)


def test_petal_shapes_leaves_and_stems_differ():
    heads = [flower("five", shape, 13, "0").petals for shape in blooms.FACTORS["petal_shape"]]
    assert min(abs(a - b).sum() for i, a in enumerate(heads) for b in heads[:i]) > FULL * 20
    areas = [leaf(shape, False).fill.sum() for shape in ("narrow", "broad", "lobed")]
    assert areas[0] * 2 < areas[1] and len(set(areas)) == 3
    straight, curved = stem(24, 17, 24, 0, 48), stem(24, 17, 31, -5, 48)
    assert abs(straight.fill - curved.fill).sum() > FULL * 20
    assert not straight.edge[:17].any() and straight.edge[47].any()


def test_a_leafless_bloom_shows_no_leaf():
    green = (np.array(blooms.GREEN) * blooms.LEVELS["normal"]) // 256
    leafless = np.mean([near(s.image, green) for s in planted(leaf="none", background="soil")])
    leafy = np.mean([near(s.image, green) for s in planted(leaf="broad", background="soil")])
    assert leafy > leafless + 60
