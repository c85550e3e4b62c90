"""MPPC and wMPPC by their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import bernoulli, hostile_pairs, scrambled, topk
from reference import constant, maxima, overall
from reference import wmppc as true_wmppc

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics import chance, comparative_sharedness, crossfit, max_correlation, mppc, wmppc, wmppc_layers

sparse = SparseFeatures.from_dense


def test_mppc_is_the_plain_mean_and_wmppc_the_weighted_one():
    assert mppc([0.5, 0, 1]) == 0.5
    assert wmppc([0.5, 0, 1], [2, 1, 1]) == 0.5
    assert wmppc([-0.5, 1], [3, 1]) == pytest.approx(-0.125, abs=1e-15)


def test_weights_near_the_ends_of_float64_neither_overflow_nor_vanish():
    assert wmppc([0.5, 1], [1e308, 1e308]) == 0.75
    assert wmppc([0.5, 1], [1e-320, 1e-320]) == 0.75


@pytest.mark.parametrize(
    ("rho", "weights", "message"),
    [
        ([0.1, 0.2], [0, 0], "total weight is zero"),
        ([], [], "total weight is zero"),
        ([0.1, 0.2], [1], r"\(2,\).*\(1,\)"),
        ([[0.1]], [[1]], r"\(1, 1\)"),
        ([0.1, 0.2], [1, -1], "weights must be finite"),
        ([0.1, 0.2], [1, np.nan], "weights must be finite"),
        ([0.1, 0.2], [1, np.inf], "weights must be finite"),
        ([0.1, np.nan], [1, 1], "rho must be finite"),
        ([np.inf, 0.1], [1, 1], "rho must be finite"),
    ],
)
def test_weights_and_correlations_that_make_no_sense_are_refused(rho, weights, message):
    with pytest.raises(ValueError, match=message):
        wmppc(rho, weights)


def test_mppc_of_nothing_and_of_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="rho must be finite"):
        mppc([0.1, np.nan])
    with pytest.raises(ValueError, match="m >= 1"):
        mppc([])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(hostile_pairs())
def test_self_wmppc_is_exactly_one_over_live_features(pair):
    for features in (scrambled(pair[0], 0), DenseFeatures(pair[1])):
        found = max_correlation(features, features)
        live = ~constant(features.to_dense())
        np.testing.assert_array_equal(found.source, live)
        if live.any():
            assert mppc(found.source[live]) == 1
            assert wmppc(found.source[live], features.weights[live]) == 1


def test_self_wmppc_is_exactly_one_at_the_size_of_real_work():
    rng = np.random.default_rng(0)
    indices = np.argpartition(rng.random((20_000, 768), np.float32), 8, axis=1)[:, :8]
    features = SparseFeatures(indices, rng.exponential(1, (20_000, 8)) + 0.05, 768).rounded()
    assert wmppc_layers(features, features) == (1, 1, 1)
    assert wmppc(max_correlation(features, features).target, features.weights) == 1


@pytest.mark.parametrize("aggregate", ["layer_mean", "global"])
def test_layers_agree_with_the_definition(aggregate):
    source = [bernoulli(120, m, 0.3, seed=m) * m for m in (5, 11, 3)]
    target = [bernoulli(120, m, 0.3, seed=50 + m) for m in (8, 2)]
    source[1][:, 3], target[0][:, 2] = 0, 7
    found = wmppc_layers([sparse(x) for x in source], [sparse(x) for x in target], aggregate)
    matrix = [[true_wmppc(maxima(a, b)[0], a.sum(0)) for b in target] for a in source]
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-5)
    assert found.last == found.matrix[-1, -1]
    rho = maxima(np.hstack(source), np.hstack(target))[0]
    truth = overall(rho, np.hstack(source).sum(0), [5, 11, 3], aggregate)
    assert found.overall == pytest.approx(truth, abs=1e-5)


def test_aggregates_differ_and_layer_mean_is_the_default():
    source, target = [topk(90, 20, 4, seed=1), topk(90, 5, 4, seed=2)], topk(90, 20, 4, seed=3)
    default, mean, pooled = (wmppc_layers(source, target, *a).overall for a in ((), ("layer_mean",), ("global",)))
    assert default == mean != pooled


def test_single_features_and_sequences_of_one_are_the_same():
    a, b = topk(60, 20, 4, seed=1), topk(60, 30, 4, seed=2)
    one = wmppc_layers(a, b)
    assert one.matrix.shape == (1, 1) and one.matrix[0, 0] == one.overall == one.last
    assert wmppc_layers([a], (b,)) == one


def test_wmppc_is_asymmetric():
    a, b = topk(90, 10, 4, seed=1), topk(90, 50, 4, seed=2)
    assert wmppc_layers(a, b).overall > wmppc_layers(b, a).overall + 0.05


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_wmppc_ignores_order_target_scales_and_a_common_source_factor_but_not_single_source_scales(seed, factor):
    rng = np.random.default_rng(seed)
    a, b = bernoulli(80, 12, 0.3, seed), bernoulli(80, 15, 0.3, seed + 20_000)
    plain = wmppc_layers(sparse(a), sparse(b)).overall
    scales = rng.uniform(0.1, 10, 15).astype(np.float32)
    changed = wmppc_layers(sparse(a[:, ::-1] * np.float32(factor)), sparse((b * scales)[:, rng.permutation(15)]))
    assert changed.overall == pytest.approx(plain, abs=1e-5)
    rho = maxima(a, b)[0]
    top = np.ones(12, np.float32)
    top[rho.argmax()] = 1000
    assert wmppc_layers(sparse(a * top), sparse(b)).overall > plain + 1e-3


def test_unknown_aggregate_dead_layers_and_empty_sequences_are_refused():
    some, dead = topk(20, 5, 2, seed=0), sparse(np.zeros((20, 5)))
    with pytest.raises(ValueError, match="'layer_mean' or 'global', got 'mean'"):
        wmppc_layers(some, some, "mean")
    with pytest.raises(ValueError, match="total weight is zero"):
        wmppc_layers(dead, some)
    assert wmppc_layers(some, dead).overall == 0
    with pytest.raises(ValueError, match="at least one layer"):
        wmppc_layers([], some)


def test_a_dead_layer_is_named():
    alive = SparseFeatures.from_dense(np.random.default_rng(0).random((40, 3), np.float32))
    dead = SparseFeatures(np.zeros((40, 2), np.int64), np.zeros((40, 2)), 5)
    for measure in (wmppc_layers, crossfit, chance):
        with pytest.raises(ValueError, match="no feature of layer 2 of 2 of the source is ever active"):
            measure([alive, dead], alive)


def test_groups_of_encoders_must_be_lists():
    a = SparseFeatures.from_dense(np.random.default_rng(0).random((40, 3), np.float32))
    with pytest.raises(ValueError, match="shared_with must be a list with one item for each encoder"):
        comparative_sharedness(a, a, [a])
    with pytest.raises(ValueError, match="absent_from must be a list with one item for each encoder"):
        comparative_sharedness(a, [a], [])
