"""Where training starts: b_dec and scale."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.sae import TrainConfig
from benchmark.sae.preparation import geometric_median, start


def vectors(seed, n=200, d=6):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) * rng.uniform(0.1, 3, d) + rng.uniform(-5, 5, d)).astype(np.float32)


def test_by_default_nothing_is_estimated():
    assert start(np.full((2, 3), np.nan, np.float32), TrainConfig()) == (None, 1.0)


def test_the_mean_and_the_scale_are_those_of_the_vectors():
    x = vectors(0)
    found = start(x, TrainConfig(b_dec="mean", normalize=True))
    assert np.allclose(found.b_dec, x.mean(0, dtype=np.float64), atol=1e-12)
    scaled = (x.astype(np.float64) - found.b_dec) * found.scale
    assert np.square(scaled).sum(1).mean() == pytest.approx(6)
    assert start(x * 1000, TrainConfig(normalize=True)).scale == pytest.approx(found.scale / 1000, rel=1e-5)


def test_equal_vectors_keep_their_scale():
    found = start(np.full((5, 3), 7, np.float32), TrainConfig(b_dec="median", normalize=True))
    assert found.scale == 1 and np.array_equal(found.b_dec, [7, 7, 7])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 6), st.booleans())
def test_no_point_nearby_has_a_smaller_sum_of_distances_than_the_geometric_median(seed, n, d, twins):
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, (n, d)).astype(np.float64) if twins else rng.standard_normal((n, d))
    found = geometric_median(x)

    def cost(point):
        return np.linalg.norm(x - point, axis=1).sum()

    candidates = [*x, *(found + rng.standard_normal((50, d)) * rng.choice([1e-3, 0.1, 1], (50, 1)))]
    assert cost(found) <= min(map(cost, candidates)) * (1 + 1e-5) + 1e-9


def test_outliers_move_the_median_little_and_the_mean_far():
    x = vectors(1, n=1000)
    spoilt = np.concatenate([x, np.full((50, 6), 1e4, np.float32)])
    assert np.linalg.norm(geometric_median(spoilt) - geometric_median(x)) < 0.5
    assert np.linalg.norm(spoilt.mean(0) - x.mean(0)) > 500
