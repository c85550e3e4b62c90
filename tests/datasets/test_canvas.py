"""Claims about drawing with integers."""

import numpy as np
import pytest

from benchmark.datasets.canvas import FULL, SUB, coverage, finish, grown, outlined, paint, plane, stamp, texture


def test_coverage_counts_the_sample_points_of_each_pixel():
    inside = np.zeros((2 * SUB, 2 * SUB), bool)
    inside[:SUB, : SUB + 1] = True
    assert coverage(inside)[..., 0].tolist() == [[FULL, SUB], [0, 0]]


def test_the_area_of_a_disc_is_right():
    u, v = plane(10, 12)
    assert coverage(u * u + v * v <= 1000**2).sum() / FULL == pytest.approx(np.pi * 100, rel=0.005)


def test_growing_a_point_gives_a_disc():
    point = np.zeros((9, 9), bool)
    point[4, 4] = True
    y, x = np.mgrid[-4:5, -4:5]
    assert np.array_equal(grown(point, 3), x * x + y * y <= 9)


def test_paint_blends_by_coverage_and_cuts_off_what_lies_outside():
    image = np.zeros((2, 2, 3), np.int32)
    alpha = np.array([[FULL, FULL], [FULL, FULL // 2]], np.int32)[:, :, None]
    paint(image, alpha, -1, -1, (200, 100, 50))
    assert image[0, 0].tolist() == [100, 50, 25]
    assert image.sum() == 175
    paint(image, alpha, 2, 0, (200, 100, 50))
    assert image.sum() == 175
    paint(image, alpha, 1, 1, (200, 100, 50))
    assert image[1, 1].tolist() == [200, 100, 50]


@pytest.mark.parametrize(("colour", "light"), [((220, 35, 40), False), ((18, 18, 20), True)])
def test_an_outline_contrasts_with_its_figure(colour, light):
    u, v = plane(6, 8)
    sprite = outlined(abs(u) + 0 * v <= 500)
    image = np.full((16, 16, 3), 128, np.int32)
    stamp(image, sprite, 4, 0, colour)
    assert image[8, 4 + sprite.width // 2].tolist() == list(colour)
    assert (image[8, 4].mean() > 128) == light


def test_finish_lights_from_one_side_and_stays_in_the_range_of_bytes():
    image = np.full((4, 48, 3), 250, np.int32)
    quiet = np.zeros_like(image)
    lit = finish(image, 256, 100, quiet, 0)
    assert lit.dtype == np.uint8 and lit[0, 0, 0] < 210 and lit[0, -1, 0] == 255
    assert np.all(np.diff(lit[0, :, 0].astype(int)) >= 0)
    assert finish(image, 256, 0, quiet - 128, 20).max() == 230


def test_textures_are_faint_and_nearly_neutral_in_brightness():
    for name in ("stripes", "checks", "dots"):
        overlay = texture(name, 48, 3)
        assert overlay.shape == (48, 48, 1) and 0 < abs(overlay).max() <= 22
        assert abs(overlay.mean()) < 4
    assert not texture("none", 48, 3).any()
