"""Cross-fitted Delta and its errors: the definition, planted features, and as many false discoveries as promised."""

import numpy as np
import pytest
from sharing_worlds import equally_findable, world

from benchmark.metrics import crossfitted_sharedness, held_out_rho
from benchmark.metrics.ranks import top, top_overlap


def test_delta_is_that_of_cross_fitted_correlations():
    source, shared, _, absent = world("holds")
    found = crossfitted_sharedness(source, shared, absent, folds=3)
    rho = [np.stack([held_out_rho(source, item, folds=3) for item in part]).clip(min=0) for part in (shared, absent)]
    theta = rho[0].min(0) ** 2 - rho[1].max(0) ** 2
    np.testing.assert_allclose(found.delta, source.weights * theta, atol=1e-9)
    assert found.mean == pytest.approx((source.weights * theta).sum() / source.weights.sum(), abs=1e-9)


def test_planted_features_are_significant_and_others_are_not():
    source, shared, second, absent = world("holds", n=6000)
    found = crossfitted_sharedness(source, second, absent)
    truth = (found.rho_shared > 0.5) & (found.rho_absent < 0.2)
    assert truth.sum() > 20
    assert (found.q_value[truth] <= 0.05).mean() > 0.8 and (found.q_value[~truth] > 0.05).mean() > 0.95


def test_p_values_hold_their_level_where_both_sides_share_alike():
    source, shared, _, absent = equally_findable(n=4000)
    found = crossfitted_sharedness(source, shared, absent)
    live = found.weights > 0
    assert (found.p_value[live] <= 0.05).mean() < 0.09 and (found.q_value <= 0.05).sum() <= 1


def test_errors_are_those_of_repeated_samples():
    draws = [crossfitted_sharedness(*(world("holds", seed)[i] for i in (0, 2, 3)), folds=3) for seed in (0, 0)]
    np.testing.assert_array_equal(draws[0].error, draws[1].error)  # nothing is left to chance
    source, _, second, absent = world("holds", n=12000)
    parts = [np.arange(i, 12000, 6) for i in range(6)]
    found = [
        crossfitted_sharedness(source.take(rows), [second[0].take(rows)], [a.take(rows) for a in absent], folds=3)
        for rows in parts
    ]
    frequent = source.weights > np.quantile(source.weights, 0.7)
    spread = np.std([item.delta / item.weights for item in found], 0, ddof=1)[frequent]
    errors = np.mean([item.error / item.weights for item in found], 0)[frequent]
    assert np.median(errors / spread) == pytest.approx(1, abs=0.35)
    assert np.std([item.mean for item in found], ddof=1) < 3 * found[0].mean_error


def test_groups_must_hold_encoders_and_the_source_be_active():
    source, shared, _, absent = world("holds")
    with pytest.raises(ValueError, match="at least one encoder each"):
        crossfitted_sharedness(source, shared, [])


def test_tops_are_the_highest_entries_first_of_equal_ones():
    x = np.array([0.0, 3.0, 3.0, 1.0])
    assert top(x, 0.5).tolist() == [1, 2] and top(x, 0.01).tolist() == [1]
    assert top_overlap(x, -x, 0.5) == 0 and top_overlap(x, x, 0.5) == 1
