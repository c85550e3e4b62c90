"""rho and match against float64 truth, on ordinary and hostile features."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import bernoulli, hostile_pairs, scrambled, topk
from reference import constant, maxima, unique_best

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics import max_correlation

FLOAT32 = 1e-5
few = settings(max_examples=60, deadline=None, derandomize=True)


def sparse(array, **more):
    return SparseFeatures.from_dense(array, **more)


def assert_true(found, a, b):
    """rho within 1e-5 of float64, and the reference's match wherever its best is unique by 1e-5."""
    rho, match, back, back_match, table = maxima(a, b)
    np.testing.assert_allclose(found.source, rho, rtol=0, atol=FLOAT32)
    np.testing.assert_allclose(found.target, back, rtol=0, atol=FLOAT32)
    for got, want, t, own in (
        (found.source_match, match, table, a),
        (found.target_match, back_match, table.T, b),
    ):
        still = constant(own)
        assert got.dtype == np.int64
        assert (got[still] == -1).all() and (got[~still] >= 0).all()
        clear = unique_best(t) & ~still
        np.testing.assert_array_equal(got[clear], want[clear])
        rows = np.flatnonzero(~still)
        np.testing.assert_allclose(t[rows, got[rows]], t[rows].max(1), rtol=0, atol=FLOAT32)
    assert np.abs(found.source).max() <= 1 and np.abs(found.target).max() <= 1


@few
@given(hostile_pairs(), st.sampled_from([1, 2, 5]), st.integers(0, 1000))
def test_rho_and_match_agree_with_float64_on_hostile_features(pair, threads, seed):
    a, b = pair
    assert_true(max_correlation(scrambled(a, seed), scrambled(b, seed + 1), threads=threads), a, b)


@few
@given(hostile_pairs())
def test_dense_features_agree_with_float64_on_hostile_features(pair):
    a, b = pair
    assert_true(max_correlation(DenseFeatures(a), DenseFeatures(b)), a, b)
    assert_true(max_correlation(DenseFeatures(a), sparse(b)), a, b)
    assert_true(max_correlation(sparse(a), DenseFeatures(b)), a, b)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(hostile_pairs(), st.integers(1, 4), st.integers(1, 4))
def test_several_layers_are_one_concatenated_layer(pair, cut_a, cut_b):
    a, b = pair
    left = [part for part in np.array_split(a, cut_a, axis=1) if part.shape[1]]
    right = [part for part in np.array_split(b, cut_b, axis=1) if part.shape[1]]
    assert_true(max_correlation([sparse(x) for x in left], [sparse(x) for x in right]), a, b)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 97, 1009])
def test_sizes_that_divide_by_nothing_agree_with_float64(n):
    a, b = topk(n, 263, 7, seed=n), topk(n, 521, 5, seed=n + 1)
    assert_true(max_correlation(a, b), a.to_dense(), b.to_dense())


def test_result_does_not_depend_on_the_number_of_threads_nor_on_the_order_of_slots():
    rng = np.random.default_rng(0)
    base = bernoulli(701, 90, 0.1, seed=1)
    base[:, 3] = 1000 + rng.uniform(-1, 1, 701)
    base[5, 3] = 0
    base[:, 4] = 1000 + rng.uniform(-1, 1, 701)
    a, b = base[:, rng.integers(0, 90, 400)], base[:, rng.integers(0, 90, 600)]
    one = max_correlation(sparse(a), sparse(b), threads=1)
    for threads in (1, 2, 5):
        for left, right in ((sparse(a), sparse(b)), (scrambled(a, 3), scrambled(b, 4))):
            other = max_correlation(left, right, threads=threads)
            for x, y in zip(one, other, strict=True):
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("kind", [SparseFeatures.from_dense, DenseFeatures])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_lowest_index_wins_among_copies_in_both_directions_and_over_layers(kind, threads):
    rng = np.random.default_rng(2)
    base = bernoulli(211, 40, 0.2, seed=2)
    noisy = base + (base > 0) * rng.random(base.shape).astype(np.float32)
    pick, pick_b = rng.integers(0, 40, 300), rng.integers(0, 40, 700)
    a, b = base[:, pick], noisy[:, pick_b]
    first_a, first_b = ([list(p).index(x) for x in p] for p in (pick, pick_b))
    for left, right in (
        (kind(a), kind(b)),
        ([kind(a[:, :101]), kind(a[:, 101:])], [kind(b[:, :13]), kind(b[:, 13:500]), kind(b[:, 500:])]),
    ):
        found = max_correlation(left, right, threads=threads)
        np.testing.assert_array_equal(np.array(first_b)[found.source_match], found.source_match)
        np.testing.assert_array_equal(np.array(first_a)[found.target_match], found.target_match)


def test_copy_in_a_later_layer_does_not_win_when_that_layer_needs_more_precision():
    base = bernoulli(3001, 60, 0.3, seed=3)
    noisy = base + (base > 0) * np.random.default_rng(4).random(base.shape).astype(np.float32)
    large = np.full((3001, 1), 1000, np.float32) + np.random.default_rng(5).random((3001, 1), np.float32)
    large[0] = 0
    later = np.hstack([noisy, large])
    found = max_correlation(sparse(base), [sparse(noisy), sparse(later)])
    assert (found.source_match < 60).all()
    found = max_correlation([sparse(noisy), sparse(later)], sparse(base))
    assert (found.target_match < 60).all()
    found = max_correlation([DenseFeatures(noisy), sparse(noisy)], sparse(base))
    assert (found.target_match < 60).all()


@pytest.mark.parametrize("count", [100, 1000, 3500, 6000])
def test_features_with_one_value_wherever_they_fire_are_as_exact_as_others(count):
    # Equal terms are rounded alike: in float32 the errors of such a sum add up instead of cancelling.
    rng = np.random.default_rng(count)
    n, m = 20_000, 40
    rows = rng.permutation(n)
    a, b = np.zeros((n, m), np.float32), np.zeros((n, 1), np.float32)
    a[rows[:count]] = rng.random(m) + 0.1
    b[rows[count // 2 : count // 2 + count]] = 0.3
    own = max_correlation(sparse(a), sparse(a))
    np.testing.assert_array_equal(own.source, 1)
    assert_true(max_correlation(sparse(a), sparse(b)), a, b)


def test_feature_at_a_large_mean_is_exact_on_all_and_on_all_but_one_sample():
    rng = np.random.default_rng(6)
    n = 5000
    signal = rng.uniform(-1, 1, n)
    noise = rng.uniform(-1, 1, (n, 4))
    a = (1000 + signal[:, None] + 0.5 * noise[:, :2]).astype(np.float32)
    b = (1000 + signal[:, None] + 0.5 * noise[:, 2:]).astype(np.float32)
    a[17, 1], b[17, 1] = 0, 0
    found = max_correlation(sparse(a), sparse(b))
    assert_true(found, a, b)
    assert 0.7 < found.source[0] < 0.9 and found.source[1] > 0.999


@pytest.mark.parametrize("exponent", [-40, -30, -4, 4, 30])
def test_scale_never_matters_not_even_where_variances_under_or_overflow(exponent):
    base = np.round(bernoulli(300, 30, 0.3, seed=7) * 8)
    other = np.round(bernoulli(300, 30, 0.3, seed=8) * 8) + base * (np.arange(30) % 3)
    scaled = base.astype(np.float64) * 10.0**exponent
    assert_true(max_correlation(sparse(scaled), sparse(other)), scaled.astype(np.float32), other)


def test_constant_feature_at_scale_1e_minus_4_correlates_zero_with_everything():
    a = np.tile(np.float32([1e-4, 0.1, 3.3]), (1000, 1))
    b = np.hstack([bernoulli(1000, 5, 0.3, seed=9), a])
    found = max_correlation(sparse(a), sparse(b))
    np.testing.assert_array_equal(found.source, 0)
    np.testing.assert_array_equal(found.source_match, -1)
    np.testing.assert_array_equal(found.target_match[5:], -1)


def test_constant_candidate_has_value_zero_and_beats_negative_ones():
    x = np.float32([1, 0, 1, 0, 0, 1])
    a, b = x[:, None], np.stack([1 - x, np.zeros(6, np.float32), np.full(6, 2, np.float32)], axis=1)
    found = max_correlation(sparse(a), sparse(b))
    assert found.source.tolist() == [0.0] and found.source_match.tolist() == [1]
    assert max_correlation(sparse(a), sparse(b[:, :1])).source.tolist() == [-1.0]
    layers = max_correlation(sparse(a), [sparse(b[:, :1]), sparse(b[:, 1:])])
    assert layers.source.tolist() == [0.0] and layers.source_match.tolist() == [1]


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("kind", [SparseFeatures.from_dense, DenseFeatures])
def test_zero_or_one_sample_makes_every_feature_constant(n, kind):
    found = max_correlation(kind(np.ones((n, 3), np.float32)), kind(np.ones((n, 5), np.float32)))
    assert found.source.tolist() == [0] * 3 and found.target_match.tolist() == [-1] * 5


def test_no_slots_at_all_are_dead_features():
    empty = SparseFeatures(np.zeros((9, 0), int), np.zeros((9, 0)), 4)
    live = topk(9, 6, 1, seed=0)
    found = max_correlation(empty, live)
    assert found.source.tolist() == [0] * 4 and found.source_match.tolist() == [-1] * 4
    assert (found.target >= 0).all() and set(found.target_match.tolist()) <= {-1, 0}
    assert (max_correlation(empty, empty).source == 0).all()


def test_more_than_65536_latents():
    rng = np.random.default_rng(10)
    few_latents = bernoulli(60, 12, 0.3, seed=10)
    where = np.sort(rng.choice(70_001, 12, replace=False))
    where[-1] = 70_000
    rows, columns = np.nonzero(few_latents)
    wide = np.zeros((60, 12), np.float32)
    wide[rows, columns] = few_latents[rows, columns]
    big = SparseFeatures(np.tile(where, (60, 1)), wide, 70_001)
    assert big.indices.dtype == np.uint32
    other = bernoulli(60, 9, 0.3, seed=11)
    small, large = max_correlation(sparse(few_latents), sparse(other)), max_correlation(big, sparse(other))
    np.testing.assert_allclose(large.source[where], small.source, atol=1e-6)
    np.testing.assert_array_equal(large.source_match[where], small.source_match)
    assert np.count_nonzero(large.source_match >= 0) == 12
    back = max_correlation(sparse(other), big)
    clear = small.target > 1e-6  # dead latents are candidates with value 0
    np.testing.assert_array_equal(back.source_match[clear], where[small.target_match[clear]])


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_permuting_latents_and_rescaling_targets_change_nothing(seed, factor):
    rng = np.random.default_rng(seed)
    a, b = bernoulli(60, 15, 0.3, seed=seed % 1000), bernoulli(60, 20, 0.3, seed=seed % 999 + 2000)
    plain = max_correlation(sparse(a), sparse(b))
    order_a, order_b = rng.permutation(15), rng.permutation(20)
    scales = rng.uniform(0.1, 10, 20).astype(np.float32)
    moved = max_correlation(sparse(a[:, order_a] * np.float32(factor)), sparse((b * scales)[:, order_b]))
    np.testing.assert_allclose(moved.source, plain.source[order_a], atol=FLOAT32)
    clear = unique_best(maxima(a, b)[4], 3e-5)[order_a] & (plain.source_match[order_a] >= 0)
    np.testing.assert_array_equal(order_b[moved.source_match[clear]], plain.source_match[order_a][clear])


def test_directions_are_each_others_mirror():
    a, b = topk(400, 60, 5, seed=20), topk(400, 90, 5, seed=21)
    there, back = max_correlation(a, b), max_correlation(b, a)
    np.testing.assert_allclose(there.source, back.target, atol=FLOAT32)
    np.testing.assert_allclose(there.target, back.source, atol=FLOAT32)


def test_inputs_are_left_as_they_were():
    a, b = scrambled(bernoulli(50, 9, 0.4, seed=1) * 1e30, 1), scrambled(1000 + bernoulli(50, 9, 0.4, seed=2), 2)
    before = [x.copy() for x in (a.indices, a.values, b.indices, b.values)]
    max_correlation(a, b)
    for x, y in zip(before, (a.indices, a.values, b.indices, b.values), strict=True):
        np.testing.assert_array_equal(x, y)


def test_features_of_other_samples_are_refused_with_both_shapes_and_fingerprints():
    with pytest.raises(ValueError, match=r"\(5, 4\).*\(6, 7\)"):
        max_correlation(sparse(np.ones((5, 4))), sparse(np.ones((6, 7))))
    for left, right in (("alpha", "beta"), ("alpha", "")):
        with pytest.raises(ValueError, match=f"'{left}'.*'{right}'"):
            max_correlation(sparse(np.ones((5, 4)), samples=left), sparse(np.ones((5, 4)), samples=right))
    same = sparse(np.ones((5, 4)))
    with pytest.raises(ValueError, match="same samples"):
        max_correlation([same, sparse(np.ones((4, 4)))], same)
    with pytest.raises(ValueError, match="group"):
        max_correlation(
            [same, sparse(np.ones((5, 4)), groups=[0, 0, 1, 1, 2])], sparse(np.ones((5, 2)), groups=range(5))
        )


def test_empty_sequences_wrong_types_and_unknown_devices_are_refused():
    some = topk(5, 4, 2, seed=0)
    for sides in (([], some), (some, [])):
        with pytest.raises(ValueError, match="at least one layer"):
            max_correlation(*sides)
    with pytest.raises(TypeError, match="ndarray"):
        max_correlation([np.ones((5, 4))], some)
    for threads in (0, -1):
        with pytest.raises(ValueError, match=f"threads must be at least 1, got {threads}"):
            max_correlation(some, some, threads=threads)
    for device in ("nonsense", "meta"):
        with pytest.raises(ValueError, match=f"device '{device}' cannot be used"):
            max_correlation(some, some, device=device)


def test_a_missing_gpu_is_one_clear_error():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="device 'cuda' cannot be used"):
        max_correlation(topk(5, 4, 2, seed=0), topk(5, 4, 2, seed=1), device="cuda")
