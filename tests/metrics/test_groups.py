"""Permutations and folds move whole groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.features import SparseFeatures
from benchmark.metrics.groups import folds, permutation, shared_groups

some = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def group_labels(draw, least=1):
    """Groups 0..G-1 of unequal sizes whose samples lie scattered."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=least, max_size=90))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(draw(st.integers(0, 1000))).permutation(labels)


@some
@given(group_labels(), st.integers(0, 99))
def test_every_sample_is_used_once(groups, seed):
    order = permutation(groups, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(groups)))


@some
@given(group_labels(), st.integers(0, 99))
def test_groups_of_a_common_size_move_whole_onto_groups_of_that_size(groups, seed):
    order = permutation(groups, np.random.default_rng(seed))
    sizes = np.bincount(groups)
    often = np.bincount(sizes)
    for g in range(len(sizes)):
        here = np.flatnonzero(groups == g)
        if often[sizes[g]] >= 20:
            came_from = groups[order[here]]
            assert len(set(came_from.tolist())) == 1 and sizes[came_from[0]] == sizes[g]
            assert (np.diff(order[here]) > 0).all()  # captions of an image keep their order


def test_rare_sizes_are_laid_end_to_end_so_that_groups_stay_in_one_piece():
    groups = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 6, 7, 8])
    order = permutation(groups, np.random.default_rng(0))
    moved = groups[order]
    assert np.count_nonzero(np.diff(moved)) == 7
    assert (order != np.arange(len(order))).mean() > 0.5


def test_a_group_stays_where_it_is_if_it_alone_has_a_rare_size():
    groups = np.repeat(np.arange(41), [1] * 40 + [7])
    order = permutation(groups, np.random.default_rng(0))
    np.testing.assert_array_equal(order[40:], np.arange(40, 47))
    assert (order[:40] != np.arange(40)).mean() > 0.8


def test_almost_no_group_stays_where_it_was_and_seeds_decide():
    groups = np.repeat(np.arange(500), 5)
    one, again, other = (permutation(groups, np.random.default_rng(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).mean() > 0.9 and (groups[one] == groups).mean() < 0.02


def test_all_orders_of_groups_are_equally_likely():
    rng = np.random.default_rng(0)
    target = [permutation(np.arange(20), rng)[0] for _ in range(4000)]
    counts = np.bincount(target, minlength=20)
    assert abs(counts - 200).max() < 5 * np.sqrt(200)


@some
@given(group_labels(least=14), st.integers(2, 7), st.integers(0, 99))
def test_folds_hold_whole_groups_and_are_balanced(groups, k, seed):
    fold = folds(groups, k, np.random.default_rng(seed))
    for g in np.unique(groups):
        assert len(set(fold[groups == g].tolist())) == 1
    filled = np.bincount(fold, minlength=k)
    assert len(filled) == k and filled.min() >= 2
    assert filled.max() - filled.min() <= np.bincount(groups).max()


def test_folds_of_single_samples_differ_by_one_at_most_and_follow_the_seed():
    one, again, other = (folds(np.arange(103), 5, np.random.default_rng(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert sorted(np.bincount(one).tolist()) == [20, 20, 21, 21, 21]


def test_fewer_groups_than_two_a_fold_are_refused():
    with pytest.raises(ValueError, match="3 groups of samples cannot be cut into 2 folds of two or more"):
        folds(np.repeat([0, 1, 2], 10), 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="0 groups"):
        folds(np.empty(0, int), 2, np.random.default_rng(0))


def test_groups_come_from_whichever_side_knows_them():
    def features(groups):
        return SparseFeatures.from_dense(np.ones((4, 2)), groups=groups)

    labels = [70, -3, 70, 5]
    for sides in (([features(labels)], [features(None)]), ([features(None)], [features(None), features(labels)])):
        assert shared_groups(*sides).tolist() == [2, 0, 2, 1]
    assert shared_groups([features(None)]).tolist() == [0, 1, 2, 3]
