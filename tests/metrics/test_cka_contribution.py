"""Contributions to linear CKA are those of leaving one sample out after the other."""

import numpy as np
import pytest

from benchmark.metrics.cka_contribution import cka_contributions


def biased_cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def test_contributions_agree_with_leaving_out_one_by_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6)) + 3
    y = np.concatenate([x[:, :2] + rng.normal(size=(40, 2)), rng.normal(size=(40, 3))], 1)
    value, found = cka_contributions(x, y)
    assert value == pytest.approx(biased_cka(x, y), abs=1e-12)
    kept = [np.arange(40) != i for i in range(40)]
    truth = [value - biased_cka(x[rows], y[rows]) for rows in kept]
    np.testing.assert_allclose(found, truth, atol=1e-12)


def test_what_has_no_cka_is_refused():
    with pytest.raises(ValueError, match="does not vary"):
        cka_contributions(np.ones((5, 2)), np.arange(10.0).reshape(5, 2))
    with pytest.raises(ValueError, match="at least 3 samples"):
        cka_contributions(np.ones((5, 2)), np.ones((4, 2)))
