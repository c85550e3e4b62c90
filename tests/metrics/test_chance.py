"""The chance level is the wMPPC of features that have nothing to do with each other."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planted import bernoulli, hostile_pairs, topk
from reference import maxima, overall

from benchmark.features import SparseFeatures
from benchmark.metrics import chance, chance_both, crossfit, wmppc_layers
from benchmark.metrics.groups import permutation

sparse = SparseFeatures.from_dense


def five_captions(images=160, m=60, seed=0, grouped=True):
    """Two sides that share nothing but that five captions of an image resemble each other."""
    groups = np.repeat(np.arange(images), 5)
    rng = np.random.default_rng(seed)
    sides = []
    for _ in range(2):
        image = np.where(rng.random((images, m)) < 0.05, rng.exponential(1, (images, m)) + 0.5, 0)[groups]
        sides.append(sparse(image * rng.uniform(0.8, 1.2, image.shape), groups=groups if grouped else None))
    return sides


def test_null_of_unrelated_features_has_the_mean_of_the_naive_value():
    naive, tau = zip(*((c.naive, c.null.mean()) for c in (
        chance(topk(400, 80, 6, seed), topk(400, 80, 6, seed + 100), permutations=10) for seed in range(10)
    )), strict=True)  # fmt: skip
    assert np.mean(naive) > 0.1
    assert np.mean(naive) == pytest.approx(np.mean(tau), abs=0.005)


@pytest.mark.parametrize("aggregate", ["layer_mean", "global"])
def test_every_draw_is_one_permutation_of_all_layers_with_the_maximum_taken_anew(aggregate):
    source = [bernoulli(90, m, 0.3, seed=m) for m in (7, 12)]
    target = [bernoulli(90, m, 0.3, seed=m) for m in (9, 4, 6)]
    source[0][:, 2], target[0][:, 3], target[2][:, 1] = 5, 1000 + np.arange(90) % 7, 0
    there, back = chance_both([sparse(x) for x in source], [sparse(x) for x in target], permutations=4, seed=3,
                              aggregate=aggregate)  # fmt: skip
    rng = np.random.default_rng(3)
    orders = [np.arange(90)] + [permutation(np.arange(90), rng) for _ in range(4)]
    a, b = np.hstack(source), np.hstack(target)
    for found, left, right, moved, layers in (
        (there, a, b, "right", source),
        (back, b, a, "left", target),
    ):
        sizes = [x.shape[1] for x in layers]
        truth = []
        for order in orders:
            x, y = (left, right[order]) if moved == "right" else (left[order], right)
            truth.append(overall(maxima(x, y)[0], left.astype(np.float64).sum(0), sizes, aggregate))
        np.testing.assert_allclose([found.naive, *found.null], truth, atol=1e-5)
        tau = np.mean(truth[1:])
        assert found.calibrated == pytest.approx(max((truth[0] - tau) / (1 - tau), 0), abs=3e-5)


def test_naive_is_the_plain_wmppc():
    a, b = [topk(150, 30, 4, 1), topk(150, 20, 4, 2)], topk(150, 40, 4, 3)
    assert chance(a, b, permutations=1).naive == wmppc_layers(a, b).overall
    assert chance(a, b, permutations=1, aggregate="global").naive == wmppc_layers(a, b, "global").overall


def test_both_directions_at_once_give_what_each_gives():
    a, b = topk(150, 30, 4, 1), topk(150, 40, 4, 2)
    there, back = chance_both(a, b, permutations=5)
    assert there.naive == chance(a, b, permutations=5).naive
    np.testing.assert_array_equal(there.null, chance(a, b, permutations=5).null)
    assert back.naive == pytest.approx(chance(b, a, permutations=0).naive, abs=1e-5)


def test_p_value_is_undefined_below_19_permutations_and_reaches_a_twentieth_there():
    features = topk(200, 30, 4, 0)
    assert np.isnan(chance(features, features, permutations=18).p_value)
    own = chance(features, features)
    assert len(own.null) == 19
    assert own.naive == own.calibrated == 1 and own.p_value == 0.05


def test_p_value_counts_draws_that_reach_the_observed_value():
    found = chance(topk(60, 10, 3, 0), topk(60, 10, 3, 1), permutations=39)
    assert found.p_value == (1 + np.count_nonzero(found.null >= found.naive)) / 40


@settings(max_examples=25, deadline=None, derandomize=True)
@given(hostile_pairs(most_samples=12, most_latents=5), st.integers(0, 99))
def test_calibrated_and_p_value_stay_in_their_ranges(pair, seed):
    a, b = pair
    assume(a.any())
    found = chance(sparse(a), sparse(b), permutations=19, seed=seed)
    assert 0 <= found.calibrated <= 1 and 0 < found.p_value <= 1


def test_p_values_of_unrelated_features_are_not_systematically_small():
    values = [chance(topk(80, 12, 3, s), topk(80, 12, 3, s + 500), permutations=19).p_value for s in range(60)]
    assert np.mean(np.array(values) <= 0.1) < 0.25 and 0.35 < np.mean(values) < 0.65


def test_draws_depend_on_the_seed_alone():
    a, b = topk(100, 20, 4, 0), topk(100, 20, 4, 1)
    one, again, other = (chance(a, b, permutations=6, seed=s).null for s in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    np.testing.assert_array_equal(chance(a, b, permutations=3).null, one[:3])


def test_no_permutations_leave_the_naive_value():
    found = chance(topk(50, 9, 3, 0), topk(50, 9, 3, 1), permutations=0)
    assert found.naive > 0 and found.null.shape == (0,)
    assert np.isnan(found.calibrated) and np.isnan(found.p_value)


def test_only_moving_whole_images_removes_the_sharing_that_five_captions_fake():
    grouped = [five_captions(seed=s) for s in range(4)]
    alone = [five_captions(seed=s, grouped=False) for s in range(4)]
    by_image = np.mean([chance(*pair).calibrated for pair in grouped])
    by_row = np.mean([chance(*pair).calibrated for pair in alone])
    assert by_image < 0.02 and by_row > 0.1
    assert max(chance(*pair).p_value for pair in alone) == 0.05
    fit_by_image = np.mean([crossfit(*pair) for pair in grouped])
    fit_by_row = np.mean([crossfit(*pair) for pair in alone])
    assert abs(fit_by_image) < 0.02 and fit_by_row > 0.1


def test_a_dead_target_gives_zero_and_only_its_own_direction_is_undefined():
    some, dead = topk(40, 5, 2, 0), sparse(np.zeros((40, 3)))
    found = chance(some, dead)
    assert found.naive == found.calibrated == 0 and found.p_value == 1
    with pytest.raises(ValueError, match="total weight is zero"):
        chance_both(some, dead)


def test_senseless_requests_are_refused():
    some, other = topk(20, 5, 2, 0), topk(21, 5, 2, 0)
    with pytest.raises(ValueError, match="permutations must be >= 0, got -1"):
        chance(some, some, permutations=-1)
    with pytest.raises(ValueError, match=r"\(20, 5\).*\(21, 5\)"):
        chance(some, other)
    with pytest.raises(ValueError, match="aggregate"):
        chance(some, some, aggregate="mean")
    with pytest.raises(ValueError, match="total weight is zero"):
        chance(sparse(np.zeros((20, 3))), some)
    with pytest.raises(ValueError, match="at least one layer"):
        chance(some, [])
