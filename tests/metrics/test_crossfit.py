"""Cross-fitted wMPPC: nothing where nothing is shared, the truth where partners can be found."""

import numpy as np
import pytest
import reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planted import bernoulli, hostile_pairs, scrambled, topk

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics import crossfit, crossfit_both, crossfit_by_layer, held_out_rho, wmppc_layers
from benchmark.metrics.crossfit import block_draws
from benchmark.metrics.groups import folds as make_folds

sparse = SparseFeatures.from_dense


def fold_of(groups, k, seed):
    return make_folds(np.asarray(groups), k, np.random.default_rng(seed))


@pytest.mark.parametrize("aggregate", ["layer_mean", "global"])
@pytest.mark.parametrize("kind", [sparse, DenseFeatures])
def test_value_agrees_with_the_definition_on_the_same_folds(aggregate, kind):
    source = [bernoulli(211, m, 0.25, seed=m) for m in (7, 12)]
    target = [bernoulli(211, m, 0.25, seed=20 + m) for m in (9, 4)]
    target[1][:, 0] = source[0][:, 3] + 0.3 * target[1][:, 0]
    source[1][:, 2], target[0][:, 1] = 4, 0
    source[1][:, 5] += 1000
    there, back = crossfit_both([kind(x) for x in source], [kind(x) for x in target], seed=4, aggregate=aggregate)
    fold = fold_of(np.arange(211), 5, 4)
    assert there.value == pytest.approx(reference.crossfit(source, target, fold, aggregate), abs=1e-5)
    assert back.value == pytest.approx(reference.crossfit(target, source, fold, aggregate), abs=1e-5)
    one = crossfit([kind(x) for x in source], [kind(x) for x in target], seed=4, aggregate=aggregate)
    assert one == pytest.approx(there.value, abs=1e-12)


def test_values_of_single_layers_are_those_of_the_layer_alone_and_average_to_that_of_all():
    source = [sparse(bernoulli(150, m, 0.25, seed=m)) for m in (7, 12)]
    target = [sparse(bernoulli(150, m, 0.25, seed=20 + m)) for m in (9, 4)]
    there, back = crossfit_by_layer(source, target, seed=3)
    for found, own, other in ((there, source, target), (back, target, source)):
        for layer, fit in zip(own, found, strict=True):
            alone = crossfit_both(layer, other, seed=3)[0]
            assert (fit.value, fit.low, fit.high) == pytest.approx((alone.value, alone.low, alone.high), abs=1e-9)
        sizes = [f.n_latents for f in own]
        assert np.average([fit.value for fit in found], weights=sizes) == pytest.approx(crossfit(own, other, seed=3))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(hostile_pairs(most_latents=5), st.integers(0, 99))
def test_single_partners_agree_with_the_definition_on_hostile_features(pair, seed):
    # With one candidate the partner is certain, so that only the held-out correlations are tested.
    a, b = pair[0], pair[1][:, :1]
    assume(len(a) >= 6 and a.any())
    fold = fold_of(np.arange(len(a)), 3, seed)
    truth = reference.crossfit([a], [b], fold, "global")
    for left, right in ((scrambled(a, seed), scrambled(b, seed)), (DenseFeatures(a), sparse(b))):
        assert crossfit(left, right, folds=3, seed=seed, aggregate="global") == pytest.approx(truth, abs=1e-5)


def test_features_that_vary_by_a_millionth_on_a_fold_still_count():
    rng = np.random.default_rng(0)
    a = (1 + rng.integers(0, 4, (60, 1)) * 2.0**-22).astype(np.float32)
    a[fold_of(np.arange(60), 2, 0) == 0] += 1
    a[np.flatnonzero(fold_of(np.arange(60), 2, 0) == 0)[0]] = 0
    truth = reference.crossfit([a], [a], fold_of(np.arange(60), 2, 0), "layer_mean")
    assert truth == pytest.approx(1)
    for kind in (sparse, DenseFeatures):
        assert crossfit(kind(a), kind(a), folds=2) == pytest.approx(1, abs=1e-5)


def test_it_is_zero_without_sharing_where_the_naive_value_is_large():
    pairs = [(topk(300, 200, 8, s), topk(300, 200, 8, s + 100)) for s in range(4)]
    assert np.mean([wmppc_layers(*pair).overall for pair in pairs]) > 0.25
    assert abs(np.mean([crossfit(*pair) for pair in pairs])) < 0.01


def test_it_is_near_the_planted_truth_where_the_naive_value_is_not():
    rng = np.random.default_rng(0)
    n, m = 3000, 120
    source, target = bernoulli(n, m, 0.05, seed=1), bernoulli(n, m, 0.05, seed=2)
    shared = np.arange(40)
    target[:, shared] = np.where(rng.random((n, 40)) < 0.7, source[:, shared], target[:, shared])
    # What the shared features correlate in the limit, from many more samples of the same kind.
    large = bernoulli(200_000, 1, 0.05, seed=3)[:, 0]
    other = np.where(rng.random(len(large)) < 0.7, large, bernoulli(len(large), 1, 0.05, seed=4)[:, 0])
    weights = source.sum(0)
    truth = np.corrcoef(large, other)[0, 1] * weights[shared].sum() / weights.sum()
    there = crossfit_both(sparse(source), sparse(target))[0]
    assert there.value == pytest.approx(truth, abs=0.01)
    assert wmppc_layers(sparse(source), sparse(target)).overall > truth + 0.02


@pytest.mark.parametrize("kind", [sparse, DenseFeatures])
def test_features_compared_with_themselves_give_one(kind):
    array = bernoulli(300, 20, 0.3, seed=5)
    array[:, 4] = 1000 + array[:, 4]
    array[:, 5] *= 1e30
    array[:, 6] *= np.float32(1e-30)
    there, back = crossfit_both(kind(array), kind(array))
    assert there.value == pytest.approx(1, abs=1e-6) and back.value == pytest.approx(1, abs=1e-6)


def test_interval_contains_the_value_and_narrows_with_more_samples():
    widths = []
    for n in (400, 3600):
        inside = []
        for seed in range(5):
            a = bernoulli(n, 30, 0.2, seed)
            b = a * (np.random.default_rng(seed + 50).random(a.shape) < 0.6)
            found = crossfit_both(sparse(a), sparse(b), seed=seed)[0]
            inside.append(found.low <= found.value <= found.high)
        widths.append(found.high - found.low)
        assert sum(inside) >= 4
    assert 2 < widths[0] / widths[1] < 4.5


def test_draws_of_different_pairs_align_so_that_their_difference_is_sharp():
    a = bernoulli(600, 30, 0.2, seed=1)
    rng = np.random.default_rng(2)
    b = a * (rng.random(a.shape) < 0.6)
    c = b + 0.1 * bernoulli(600, 30, 0.2, seed=3)
    one = crossfit_both(sparse(a), sparse(b), seed=7)[0].draws
    two = crossfit_both(sparse(a), sparse(c), seed=7)[0].draws
    assert one.shape == (200,)
    assert np.corrcoef(one, two)[0, 1] > 0.8
    unaligned = crossfit_both(sparse(a), sparse(c), seed=8)[0].draws
    assert abs(np.corrcoef(one, unaligned)[0, 1]) < 0.4


def test_a_draw_moves_the_value_by_what_it_loses_without_each_block():
    a, b = bernoulli(200, 6, 0.4, seed=1), bernoulli(200, 1, 0.4, seed=2)
    a[:, 0] += b[:, 0]
    groups = np.arange(200)
    rng = np.random.default_rng(0)
    fold = make_folds(groups, 4, rng)
    block, draws = block_draws(groups, fold, 4, 3, rng)
    found = crossfit_both(sparse(a), sparse(b), folds=4, resamples=3, aggregate="global")[0]

    def value(kept):  # with one candidate the partners cannot change
        s = sum(a[(fold == f) & kept].sum(0, dtype=np.float64) for f in range(4))
        return (s * reference.held_out(a.astype(np.float64), b.astype(np.float64), fold, kept)).sum() / s.sum()

    whole = value(np.ones(200, bool))
    assert found.value == pytest.approx(whole, abs=1e-6)
    for r in range(3):
        moved = sum(
            (draws[r, f, x] - 1) * (whole - value(~((fold == f) & (block == x)))) for f in range(4) for x in range(20)
        )
        assert found.draws[r] == pytest.approx(whole + moved, abs=1e-6)


@pytest.mark.parametrize(("rate", "share"), [(0.02, 0.3), (0.2, 0.3), (0.02, 0.0)])
def test_nineteen_of_twenty_intervals_hold_what_many_samples_give(rate, share):
    def sides(n, seed):
        rng = np.random.default_rng(seed)
        a, b = bernoulli(n, 60, rate, seed), bernoulli(n, 60, rate, seed + 10_000)
        count = round(60 * share)
        b[:, :count] = np.where(rng.random((n, count)) < 0.7, a[:, :count], b[:, :count])
        return sparse(a), sparse(b)

    truth = crossfit(*sides(100_000, 999))
    held = inside = 0
    for seed in range(40):
        found = crossfit_both(*sides(2500, seed), seed=seed)[0]
        held += found.low <= truth <= found.high
        inside += found.low <= found.value <= found.high
    assert inside == 40
    assert held >= 34  # of 38 expected; fewer than 34 happen once in 100 times


def test_very_few_groups_give_draws_without_holes_or_warnings(recwarn):
    array = bernoulli(12, 5, 0.7, seed=0)
    found = crossfit_both(sparse(array), sparse(array), folds=5)[0]
    assert np.isfinite(found.draws).all() and np.isfinite([found.low, found.high]).all()
    assert not recwarn.list


def test_a_layer_active_on_one_sample_alone_has_a_value():
    lonely = np.zeros((100, 2), np.float32)
    lonely[3, 1] = 1
    there, _ = crossfit_both([topk(100, 9, 2, 0), sparse(lonely)], topk(100, 9, 2, 1))
    assert np.isfinite(there.value) and there.low <= there.value <= there.high
    assert np.isfinite(there.draws).all()


def test_whole_groups_are_held_out_together():
    groups = np.repeat(np.arange(60), 5)
    a = bernoulli(60, 25, 0.2, 1)[groups] * np.random.default_rng(0).uniform(0.9, 1.1, (300, 25))
    b = bernoulli(60, 25, 0.2, 2)[groups] * np.random.default_rng(1).uniform(0.9, 1.1, (300, 25))
    found = crossfit(sparse(a, groups=groups * 7 - 3), sparse(b), seed=2)
    a32, b32 = a.astype(np.float32), b.astype(np.float32)
    assert found == pytest.approx(reference.crossfit([a32], [b32], fold_of(groups, 5, 2), "layer_mean"), abs=1e-5)
    assert found != crossfit(sparse(a), sparse(b), seed=2)


def test_value_follows_the_seed_and_asks_for_no_resamples():
    a, b = topk(100, 20, 4, 0), topk(100, 20, 4, 1)
    assert crossfit(a, b) == crossfit(a, b, seed=0) != crossfit(a, b, seed=1)
    none = crossfit_both(a, b, resamples=0)[0]
    assert none.draws.shape == (0,) and np.isnan(none.low) and none.value == crossfit(a, b)


def test_a_dead_target_gives_zero_and_only_its_own_direction_is_undefined():
    some, dead = topk(40, 5, 2, 0), sparse(np.zeros((40, 3)))
    assert crossfit(some, dead) == 0
    with pytest.raises(ValueError, match="total weight is zero"):
        crossfit_both(some, dead)


def test_senseless_requests_are_refused():
    some = topk(20, 5, 2, 0)
    for folds in (1, 0, -3):
        with pytest.raises(ValueError, match="at least 2 folds"):
            crossfit(some, some, folds=folds)
    # A fold of a single sample has no correlation: with 20 folds features would share nothing with themselves.
    for folds in (11, 20, 21):
        with pytest.raises(ValueError, match=f"20 groups of samples cannot be cut into {folds} folds of two or more"):
            crossfit(some, some, folds=folds)
    assert crossfit(some, some, folds=10) > 0.3
    grouped = SparseFeatures(some.indices, some.values, 5, groups=np.arange(20) // 10)
    with pytest.raises(ValueError, match="2 groups of samples cannot be cut into 5 folds"):
        crossfit(some, grouped)
    with pytest.raises(ValueError, match="aggregate"):
        crossfit(some, some, aggregate="mean")
    with pytest.raises(ValueError, match="total weight is zero"):
        crossfit(sparse(np.zeros((20, 3))), some)
    with pytest.raises(ValueError, match="same samples"):
        crossfit(some, topk(21, 5, 2, 0))
    with pytest.raises(ValueError, match="at least one layer"):
        crossfit([], some)


def test_held_out_correlations_are_those_of_the_definition():
    a, b = bernoulli(211, 9, 0.25, seed=1), bernoulli(211, 7, 0.25, seed=2)
    b[:, 3] += a[:, 4]
    found = held_out_rho([sparse(a[:, :4]), sparse(a[:, 4:])], sparse(b), seed=4)
    np.testing.assert_allclose(found, reference.held_out(a, b, fold_of(np.arange(211), 5, 4)), atol=1e-6)
