"""Sums over shards give the correlations of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import hostile_pairs, topk
from reference import constant, maxima, unique_best

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics import correlations, max_correlation, max_correlation_of_shards
from benchmark.metrics.comoments import comoments

few = settings(max_examples=60, deadline=None, derandomize=True)


def cut(array, pieces, kind=SparseFeatures):
    return [kind.from_dense(part) for part in np.array_split(array, pieces)]


@few
@given(hostile_pairs(), st.integers(1, 4))
def test_merged_sums_are_the_float64_correlations_of_hostile_features(pair, pieces):
    a, b = pair
    table = maxima(a, b)[-1]
    for kind in (SparseFeatures, DenseFeatures):
        left, right = cut(a, pieces, kind), cut(b, pieces)
        parts = [comoments(x, y) for x, y in zip(left, right, strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        np.testing.assert_allclose(total.correlations(), table, rtol=0, atol=1e-6)


@few
@given(hostile_pairs(), st.integers(1, 4), st.sampled_from([1, 200, 1 << 20]))
def test_maxima_of_shards_are_the_maxima_of_the_whole_in_any_memory(pair, pieces, memory):
    a, b = pair
    found = max_correlation_of_shards(list(zip(cut(a, pieces), cut(b, pieces), strict=True)), memory=memory)
    rho, match, back, back_match, table = maxima(a, b)
    np.testing.assert_allclose(found.source, rho, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.target, back, rtol=0, atol=1e-5)
    for got, want, t, own in ((found.source_match, match, table, a), (found.target_match, back_match, table.T, b)):
        clear = unique_best(t) & ~constant(own)
        np.testing.assert_array_equal(got[clear], want[clear])
        assert (got[constant(own)] == -1).all()


def test_shards_of_several_layers_give_what_the_whole_gives():
    whole = [[topk(900, 40, 4, seed) for seed in (0, 1)], [topk(900, 30, 3, seed) for seed in (2, 3, 4)]]
    rows = np.array_split(np.arange(900), 4)
    shards = [tuple([f.take(part) for f in side] for side in whole) for part in rows]
    found, expected = max_correlation_of_shards(shards), max_correlation(*whole)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_all_correlations_agree_with_numpy_and_their_maxima_with_max_correlation():
    a, b = topk(500, 50, 5, 0), topk(500, 35, 5, 1)
    found = correlations(a, b)
    np.testing.assert_allclose(found, np.corrcoef(a.to_dense().T, b.to_dense().T)[:50, 50:], atol=1e-6)
    np.testing.assert_allclose(found.max(1), max_correlation(a, b).source, atol=1e-5)


def test_sums_do_not_depend_on_the_number_of_threads():
    a, b = topk(2000, 300, 8, 0), topk(2000, 200, 8, 1)
    one, many = (comoments(a, b, threads=threads).products for threads in (1, 3))
    np.testing.assert_array_equal(one, many)


def test_an_empty_shard_changes_nothing():
    a, b = topk(300, 20, 3, 0), topk(300, 20, 3, 1)
    whole, empty = comoments(a, b), comoments(a.take([]), b.take([]))
    for total in (whole + empty, empty + whole):
        np.testing.assert_array_equal(total.correlations(), whole.correlations())


def test_shards_that_do_not_fit_are_refused():
    a, b = topk(100, 20, 3, 0), topk(100, 20, 3, 1)
    with pytest.raises(ValueError, match="at least one shard"):
        max_correlation_of_shards([])
    with pytest.raises(ValueError, match="numbers of latents"):
        max_correlation_of_shards([(a, b), (a, topk(100, 21, 3, 1))])
    with pytest.raises(ValueError, match="same samples"):
        max_correlation_of_shards([(a, topk(99, 20, 3, 1))])
    with pytest.raises(ValueError, match="different features"):
        comoments(a, b) + comoments(a, b, range(3))
