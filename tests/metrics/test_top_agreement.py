"""Top lists agree where the same features are shared, and by chance where only their weights are alike."""

import numpy as np
import pytest

from benchmark.metrics import frequency_deciles, squares_apart, top_agreement, top_features


def world(seed, m=1000, same=True):
    rng = np.random.default_rng(seed)
    weights = rng.lognormal(0, 2, m)
    difference = rng.uniform(-0.5, 0.5, m)
    other = difference + rng.normal(0, 0.02, m) if same else rng.uniform(-0.5, 0.5, m)
    order = rng.permutation(m)
    partner = np.argsort(order)  # feature i of the first is at place partner[i] of the second
    return (difference, other[order]), (weights, (weights * rng.lognormal(0, 0.05, m))[order]), partner


def test_the_same_features_are_on_top_of_both_lists_far_above_chance():
    found = top_agreement(*world(0))
    assert found.share >= 0.8 and found.by_chance < 0.6 and found.p_value == pytest.approx(1 / 200)
    assert found.correlation > 0.95


def test_equal_weights_alone_agree_no_more_than_by_chance():
    found = [top_agreement(*world(seed, same=False), draws=99) for seed in range(20)]
    assert np.mean([f.share for f in found]) == pytest.approx(np.mean([f.by_chance for f in found]), abs=0.05)
    assert np.mean([f.by_chance for f in found]) > 0.1  # not 1 %: weights put features on both lists
    assert np.mean([f.p_value <= 0.05 for f in found]) <= 0.2


def test_a_feature_without_partner_is_on_no_other_list():
    (a, b), weights, partner = world(1)
    whole = top_agreement((a, b), weights, partner).share
    partner[top_features(a * weights[0])[:5]] = -1
    assert top_agreement((a, b), weights, partner).share <= whole - 0.3


def test_top_features_are_the_best_of_those_above_nothing():
    assert top_features([0.1, -1, 3, 2, 0], share=0.4).tolist() == [2, 3]
    assert top_features([0.1, -1, 0, 0, 0], share=0.9).tolist() == [0]
    assert np.isnan(top_agreement(([-1, 0], [1, 2]), ([1, 1], [1, 1]), [0, 1]).share)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        top_agreement(([1, 2], [1]), ([1, 2], [1]), [0])


def test_deciles_hold_a_tenth_of_what_fires_each():
    counts = np.random.default_rng(0).integers(0, 50, 1003)
    found = frequency_deciles(counts)
    assert ((found == -1) == (counts == 0)).all()
    sizes = np.bincount(found[found >= 0])
    assert len(sizes) == 10 and np.ptp(sizes) <= 1
    assert all(counts[found == d].max() <= counts[found == d + 1].min() for d in range(9))
    assert frequency_deciles([0, 0]).tolist() == [-1, -1] and frequency_deciles([0, 3]).tolist() == [-1, 0]


def test_squares_apart_are_the_worst_partner_of_one_kind_and_the_best_of_the_other():
    found = squares_apart([[0.5, -0.9, 0.8], [0.6, 0.4, 0.9]], [[0.1, 0.2, 0.9], [-0.8, 0.1, 0.1]])
    np.testing.assert_allclose(found, [0.25 - 0.01, 0 - 0.04, 0.64 - 0.81])
