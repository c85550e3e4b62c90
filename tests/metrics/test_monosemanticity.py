"""The monosemanticity score in linear time against all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from planted import hostile_pairs

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics import monosemanticity


def by_pairs(array, e):
    e = e / np.linalg.norm(e, axis=1, keepdims=True)
    out = []
    for column in array.astype(np.float64).T:
        span = column.max() - column.min()
        a = (column - column.min()) / span if span > 0 else np.zeros_like(column)
        if (a > 0).sum() < 2:
            out.append(np.nan)
            continue
        weight = np.outer(a, a)
        np.fill_diagonal(weight, 0)
        out.append((weight * (e @ e.T)).sum() / weight.sum())
    return np.array(out)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(hostile_pairs())
def test_the_score_is_the_mean_over_all_pairs(pair):
    array, other = (x.astype(np.float32) for x in pair)
    e = np.random.default_rng(len(other)).normal(size=(len(array), 5))
    expected = by_pairs(array, e)
    for kind in (SparseFeatures.from_dense, DenseFeatures):
        np.testing.assert_allclose(monosemanticity(kind(array), e), expected, atol=1e-6)


def test_a_feature_of_one_concept_scores_one_and_a_mixture_less():
    e = np.repeat(np.eye(4), 25, axis=0)
    one, two = np.zeros((2, 100))
    one[:25], two[:50] = 1.0, 1.0
    found = monosemanticity(SparseFeatures.from_dense(np.stack([one, two], 1)), e)
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx(2 * (25 * 24) / (50 * 49))


def test_embeddings_that_do_not_fit_are_refused():
    features = SparseFeatures.from_dense(np.ones((3, 1)))
    with pytest.raises(ValueError, match="shape"):
        monosemanticity(features, np.ones((2, 4)))
    with pytest.raises(ValueError, match="sample 1 is zero"):
        monosemanticity(features, [[1.0], [0.0], [1.0]])
