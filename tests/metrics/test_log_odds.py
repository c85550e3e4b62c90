"""The log-odds are those of the formula, and their z is standard normal where nothing is to be found."""

import numpy as np
from planted import bernoulli, topk
from scipy import sparse

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics.log_odds import OTHERS, PRIOR, activation_matrix, log_odds, strong_activations


def world(n=300, words=12, features=4, seed=0):
    rng = np.random.default_rng(seed)
    held = (rng.random((n, words)) < rng.uniform(0.05, 0.4, words)).astype(np.float32)
    return bernoulli(n, features, 0.2, seed + 1), held


def reference(active, held):
    """Monroe, Colaresi and Quinn's equations, word by word in float64."""
    z, delta = np.zeros((active.shape[1], held.shape[1])), np.zeros((active.shape[1], held.shape[1]))
    share = held.sum(0).astype(float) / len(held)
    alpha, beta = PRIOR * share, OTHERS * len(held) * share
    for i, a in enumerate(active.T.astype(float)):
        if not a.any():
            continue
        own = (a * a.sum() / (a**2).sum()) @ held
        other = held[a == 0].sum(0).astype(float)
        for w in range(held.shape[1]):
            if not alpha[w]:
                continue
            y, there = own[w] + alpha[w], other[w] + beta[w]
            delta[i, w] = np.log(y / (own.sum() + alpha.sum() - y)) - np.log(there / (other.sum() + beta.sum() - there))
            z[i, w] = delta[i, w] / np.sqrt(1 / y + 1 / there)
    return z, delta


def test_they_are_those_of_the_formula_also_for_dead_features_and_words_that_nobody_says():
    active, held = world()
    active[:, 2], held[:, 5] = 0, 0
    found = log_odds(sparse.csr_matrix(active.T), sparse.csr_matrix(held))
    z, delta = reference(active, held)
    np.testing.assert_allclose(found.delta, delta, atol=1e-5)
    np.testing.assert_allclose(found.z, z, atol=1e-5)
    assert not found.z[2].any() and not found.z[:, 5].any() and np.isfinite(found.z).all()


def test_a_planted_word_wins_and_z_of_the_others_is_standard_normal():
    active, held = world(4000, 300, 6)
    held[:, 7] = (active[:, 0] > 0) & (np.random.default_rng(1).random(4000) < 0.7)
    z = log_odds(sparse.csr_matrix(active.T), sparse.csr_matrix(held)).z
    assert z[0].argmax() == 7 and z[0, 7] > 10  # although no other caption holds it
    assert abs(z[1:].mean()) < 0.1 and 0.8 < z[1:].std() < 1.1


def test_unequal_activations_count_as_fewer_captions():
    held = np.ones((100, 2), np.float32)
    held[:50, 1] = 0
    equal, unequal = np.zeros((100, 1)), np.zeros((100, 1))
    equal[50:80], unequal[50:80, 0] = 1, np.geomspace(1, 1000, 30)
    z = [log_odds(sparse.csr_matrix(a.T), sparse.csr_matrix(held)).z[0, 1] for a in (equal, unequal)]
    assert z[0] > 1.5 * z[1] > 0


def test_the_strongest_quarter_of_the_activations_stays():
    active = np.zeros((3, 20), np.float32)
    active[0, :8], active[1, 4:7] = [1, 5, 2, 6, 3, 7, 4, 8], [2, 3, 3]
    found = strong_activations(sparse.csr_matrix(active)).toarray()
    assert np.flatnonzero(found[0]).tolist() == [5, 7] and np.flatnonzero(found[1]).tolist() == [5, 6]
    assert not found[2].any() and (found <= active).all()


def test_activations_are_those_of_the_features_of_either_kind():
    features = topk(40, 9, 3, 0)
    for given in (features, DenseFeatures(features.to_dense()), SparseFeatures.from_dense(features.to_dense())):
        found = activation_matrix(given)
        np.testing.assert_array_equal(found.toarray(), features.to_dense().T)
        assert found.has_sorted_indices
