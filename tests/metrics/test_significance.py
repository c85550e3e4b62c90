"""p-values and q-values of single features."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import topk

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics import rho_significance
from benchmark.metrics.significance import benjamini_hochberg


def planted_sharing(n, m, shared, seed):
    """Two sides whose first `shared` features agree, of very different frequencies, the others independent."""
    rng = np.random.default_rng(seed)
    rate = np.geomspace(0.01, 0.3, m)
    sides = [np.where(rng.random((n, m)) < rate, rng.exponential(1, (n, m)), 0) for _ in range(2)]
    chosen = rng.choice(m, shared, replace=False)
    noise = rng.exponential(0.3, (n, shared))
    sides[1][:, chosen] = np.where(sides[0][:, chosen] > 0, sides[0][:, chosen] + noise, 0)
    return *(SparseFeatures.from_dense(side) for side in sides), chosen


def test_planted_features_are_found_with_few_false_discoveries():
    a, b, chosen = planted_sharing(3000, 200, 60, 0)
    found = np.flatnonzero(rho_significance(a, b).q_value <= 0.05)
    planted = np.isin(found, chosen)
    assert planted.sum() >= 0.9 * len(chosen)
    assert (~planted).mean() <= 0.15


def test_p_values_of_unrelated_features_are_uniform_for_rare_and_frequent_ones():
    a, b, _ = planted_sharing(1500, 400, 0, 1)
    found = rho_significance(a, b)
    for part in np.array_split(np.arange(400), 4):  # by frequency
        assert found.p_value[part].mean() == pytest.approx(0.5, abs=0.1)
        assert (found.p_value[part] <= 0.1).mean() < 0.2
    assert (found.q_value <= 0.05).mean() < 0.01
    assert found.expected[:40].mean() > found.expected[-40:].mean() + 0.02  # rare features reach more by chance


def test_constant_features_are_not_significant_and_dense_ones_are_judged_alike():
    a, b, _ = planted_sharing(500, 30, 10, 2)
    array = a.to_dense().copy()
    array[:, 3], array[:, 4] = 0, 2.5
    found = rho_significance(SparseFeatures.from_dense(array), b, permutations=3)
    assert (found.p_value[[3, 4]] == 1).all() and (found.q_value[[3, 4]] == 1).all() and np.isnan(found.expected[3])
    dense = rho_significance(DenseFeatures(array), DenseFeatures(b.to_dense()), permutations=3)
    np.testing.assert_allclose(dense.rho, found.rho, atol=1e-5)
    np.testing.assert_allclose(dense.p_value, found.p_value, atol=0.03)
    assert (found.q_value < 0.2).sum() >= 5


def test_layers_are_judged_together():
    a, b, _ = planted_sharing(500, 40, 15, 3)
    parts = [SparseFeatures.from_dense(x) for x in np.array_split(a.to_dense(), 2, axis=1)]
    np.testing.assert_allclose(rho_significance(parts, b).p_value, rho_significance(a, b).p_value, atol=1e-12)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 1), max_size=30))
def test_q_values_are_benjamini_and_hochberg(p_values):
    p = np.array(p_values)
    expected = [min([1.0, *(r * len(p) / (p <= r).sum() for r in p if r >= x)]) if len(p) else None for x in p]
    np.testing.assert_allclose(benjamini_hochberg(p), expected, atol=1e-12)


def test_wrong_input_is_refused():
    a = topk(50, 10, 2, 0)
    with pytest.raises(ValueError, match="permutation"):
        rho_significance(a, a, permutations=0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        benjamini_hochberg([0.5, np.nan])
