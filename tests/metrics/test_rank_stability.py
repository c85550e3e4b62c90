"""Agreement of leaderboards is Kendall's tau, and its interval tells noise from order."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmark.metrics import rank_agreement


def test_tau_is_that_of_scipy_with_ties_too():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, (4, 12)).astype(float)
    found = rank_agreement(values, values[..., None])
    for a in range(4):
        for b in range(4):
            assert found.tau[a, b] == pytest.approx(kendalltau(values[a], values[b]).statistic)
    pairs = [found.tau[a, b] for a in range(4) for b in range(a)]
    assert found.mean == pytest.approx(np.mean(pairs))


def test_one_order_agrees_fully_and_opposite_orders_not_at_all():
    up = np.arange(5.0)
    same = rank_agreement([up, 2 * up], np.stack([up, up])[..., None])
    assert (same.mean, same.low, same.high, same.same_order) == (1, 1, 1, 1)
    opposite = rank_agreement([up, -up], np.stack([up, -up])[..., None])
    assert (opposite.mean, opposite.same_order) == (-1, 0)


def test_the_interval_holds_what_other_seeds_agree_on():
    rng = np.random.default_rng(1)
    truth = np.linspace(0, 1, 15)

    def boards(seeds):
        return truth + rng.normal(0, 0.1, (seeds, 15))

    expected = rank_agreement(boards(400), np.empty((400, 15, 0))).mean
    held = 0
    for _ in range(60):
        values = boards(5)
        draws = values[..., None] + rng.normal(0, 0.02, (1, 15, 60))
        found = rank_agreement(values, draws)
        held += found.low <= expected <= found.high
    assert held >= 45  # five seeds: resampling them is not exact


@pytest.mark.parametrize("shape", [(1, 5), (3, 1)])
def test_a_leaderboard_needs_two_seeds_and_two_entries(shape):
    with pytest.raises(ValueError, match="of 2 or more"):
        rank_agreement(np.zeros(shape), np.zeros((*shape, 3)))
