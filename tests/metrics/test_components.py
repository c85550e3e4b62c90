"""Variance components are those that were planted, and the smallest difference is what it says."""

import numpy as np
import pytest

from benchmark.metrics import components


def planted(cells, seeds, source, target, pairing, encoders, sample, rng):
    """Cells (seeds, seeds) with these standard deviations, and samples' noise common to a cell."""
    return [
        rng.normal(0, encoders) + rng.normal(0, sample) + rng.normal(0, source, (seeds, 1))
        + rng.normal(0, target, seeds) + rng.normal(0, pairing, (seeds, seeds))
        for _ in range(cells)
    ]  # fmt: skip


def test_planted_components_are_found_again():
    rng = np.random.default_rng(0)
    cells = planted(3000, 5, 0.03, 0.02, 0.01, 0.1, 0.015, rng)
    found = components(cells, [0.015**2] * len(cells))
    np.testing.assert_allclose(np.sqrt(found), (0.03, 0.02, 0.01, 0.015, 0.1), rtol=0.05)
    assert found.total == pytest.approx(sum(found))


def test_a_textbook_analysis_of_variance():
    # Mean squares by hand: rows 1, 3 (means), columns 1.5, 2.5; residuals 0.5 in size.
    found = components([[[1.0, 1.0], [2.0, 4.0]]], [0.0])
    assert found.pairing == pytest.approx(1.0)
    assert found.source_seed == pytest.approx((2 * (1 + 1) - 1) / 2)
    assert found.target_seed == 0 and np.isnan(found.encoders)


def test_what_is_below_nothing_is_nothing():
    found = components([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]], [0.2, 0.2])
    assert (found.source_seed, found.target_seed, found.encoders) == (0, 0, 0) and found.pairing == 1


@pytest.mark.parametrize("seeds", [2, 5])
def test_equal_cells_differ_by_more_than_the_smallest_difference_once_in_twenty(seeds):
    rng = np.random.default_rng(seeds)
    cells = planted(4000, seeds, 0.03, 0.02, 0.01, 0.0, 0.015, rng)
    found = components(cells, [0.015**2] * len(cells))
    means = np.array([cell.mean() for cell in cells]).reshape(2, -1)
    beyond = np.mean(np.abs(means[0] - means[1]) > found.smallest_difference(seeds))
    assert 0.035 < beyond < 0.065
    assert found.smallest_difference(2 * seeds) < found.smallest_difference(seeds)


@pytest.mark.parametrize(
    ("cells", "sample"),
    [([], []), ([[[1.0, 2.0]]], [0.0]), ([[[1.0, np.nan], [1.0, 2.0]]], [0.0]), ([np.eye(2)], [0.0, 0.0])],
)
def test_cells_that_have_no_components_are_refused(cells, sample):
    with pytest.raises(ValueError):
        components(cells, sample)
