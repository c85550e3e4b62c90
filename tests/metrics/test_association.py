"""Two Deltas with the same M and H agree by construction, and the null that shuffles one group's samples says so."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sharing_worlds import world

from benchmark.metrics import comparative_sharedness, delta_association
from benchmark.metrics.association import reordered


def test_deltas_of_unrelated_groups_correlate_and_the_null_tells_it():
    source, g1, g2, h = world("nothing")
    found = delta_association(source, g1, g2, h, permutations=19)
    assert found.spearman > 0.9  # nothing at all is shared with either group
    assert found.null.mean() == pytest.approx(found.spearman, abs=0.02) and found.p_value > 0.05


def test_groups_that_share_the_same_features_agree_beyond_the_null():
    source, g1, g2, h = world("holds")
    found = delta_association(source, g1, g2, h, permutations=19)
    assert found.spearman > found.null.max() + 0.05 and found.p_value == 0.05
    assert found.overlap > found.overlap_null.max() and found.overlap_p_value == 0.05


def test_what_the_second_group_shares_on_its_own_can_push_the_value_below_its_null():
    source, g1, g2, h = world("apart")
    found = delta_association(source, g1, g2, h, permutations=5)
    assert found.spearman > 0.4 and found.spearman < found.null.min() and found.p_value == 1


@pytest.mark.parametrize("weighted", [True, False])
def test_the_value_is_that_of_comparative_sharedness(weighted):
    source, g1, g2, h = world("holds", seed=1)
    one, other = (comparative_sharedness(source, group, h) for group in (g1, g2))
    live = one.weights > 0
    scale = 1 if weighted else one.weights[live]
    expected = spearmanr(one.delta[live] / scale, other.delta[live] / scale).statistic
    found = delta_association(source, g1, g2, h, weighted=weighted, permutations=1)
    assert found.spearman == pytest.approx(expected, abs=1e-9) and found.features == live.sum()


def test_shuffled_features_keep_their_samples_name():
    source = world("holds")[0]
    order = np.random.default_rng(0).permutation(len(source))
    moved = reordered(source, order)
    assert moved.samples == source.samples
    np.testing.assert_array_equal(moved.to_dense(), source.to_dense()[order])


def test_empty_groups_and_no_permutations_are_refused():
    source, g1, g2, h = world("holds")
    with pytest.raises(ValueError, match="second must be a list"):
        delta_association(source, g1, [], h)
    with pytest.raises(ValueError, match="at least one permutation"):
        delta_association(source, g1, g2, h, permutations=0)
