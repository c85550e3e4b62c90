"""Geometry of matched features."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.cross_decomposition import CCA

from benchmark.metrics import paired_null, rsa, svcca


def vectors(p=400, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(p, d))


def test_svcca_is_one_for_an_invertible_linear_map_and_small_for_unrelated_vectors():
    x = vectors()
    assert svcca(x, x @ vectors(6, 6, 1) + 3, variance=1) == pytest.approx(1)
    assert svcca(x, vectors(seed=2)) < 0.2


def test_svcca_with_all_variance_is_scikit_learns_cca():
    x = vectors()
    y = x @ vectors(6, 4, 1) + 2 * vectors(400, 4, 3)
    u, v = CCA(n_components=4, max_iter=5000, tol=1e-12).fit(x, y).transform(x, y)
    assert svcca(x, y, variance=1) == pytest.approx(
        np.mean([np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(4)]), abs=1e-4
    )


def test_svcca_ignores_directions_beyond_the_variance_asked_for():
    x, noise = vectors(d=3), vectors(d=3, seed=5)
    assert svcca(np.c_[x, 1e-3 * noise], x) == pytest.approx(1, abs=1e-4)


def test_rsa_is_the_rank_correlation_of_scipys_distances():
    x, y = vectors(40, 7), vectors(40, 5, 1)
    expected = spearmanr(pdist(x, "correlation"), pdist(y, "correlation")).statistic
    assert rsa(x, y) == pytest.approx(expected, abs=1e-9)
    assert rsa(x, 3 * x + 1) == pytest.approx(1)


def test_the_null_tells_matched_from_unmatched_vectors():
    x = vectors(100, 8)
    related = paired_null(rsa, x, x + 0.5 * vectors(100, 8, 1))
    assert related.p_value == 0.05 and related.value > related.null.max() + 0.2
    assert paired_null(svcca, x, vectors(100, 8, 2)).p_value > 0.05


def test_vectors_that_do_not_fit_are_refused():
    x = vectors(10, 3)
    with pytest.raises(ValueError, match="paired vectors"):
        rsa(x, x[:-1])
    with pytest.raises(ValueError, match="finite"):
        svcca(x, np.where(x > 0, np.inf, x))
    with pytest.raises(ValueError, match="variance must be"):
        svcca(x, x, variance=0)
    with pytest.raises(ValueError, match="all equal"):
        svcca(x, np.ones((10, 2)))
    with pytest.raises(ValueError, match="row 0"):
        rsa(np.ones((10, 3)), x)
    with pytest.raises(ValueError, match="one draw"):
        paired_null(rsa, x, x, draws=0)
