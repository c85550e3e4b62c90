"""Changes between two datasets against the noise of seeds and samples."""

import numpy as np
import pytest

from benchmark.metrics.drift import change_between, freedom, judge


def worlds(rng, cells, seeds, *, moved=0.0, seed_sd=0.02, pair_sd=0.0, own=False):
    """Values of many cells on two datasets whose seeds have effects of their own; the first cell moved."""
    out = []
    for i in range(cells):
        sides = []
        for _ in range(2):
            rows, columns = rng.normal(0, seed_sd, seeds), rng.normal(0, seed_sd, seeds)
            matrix = 0.4 + rows[:, None] + (rows if own else columns)[None] + rng.normal(0, pair_sd, (seeds, seeds))
            if own:
                np.fill_diagonal(matrix, np.nan)
            sides.append(matrix)
        out.append(change_between(sides[0], sides[1] + moved * (i == 0), own=own))
    return out


@pytest.mark.parametrize(("seeds", "own"), [(2, False), (5, False), (4, True)])
def test_the_variance_of_seeds_is_that_of_repetitions(seeds, own):
    found = worlds(np.random.default_rng(0), 4000, seeds, own=own)
    changes, variances = np.array([c.change for c in found]), np.array([c.seed_variance for c in found])
    assert changes.mean() == pytest.approx(0, abs=0.002)
    assert variances.mean() == pytest.approx(changes.var(), rel=0.12)


def test_the_interaction_of_seeds_counts_twice_at_most():
    found = worlds(np.random.default_rng(1), 4000, 3, seed_sd=0, pair_sd=0.02)
    ratio = np.mean([c.seed_variance for c in found]) / np.var([c.change for c in found])
    assert ratio == pytest.approx(2, rel=0.1)  # the safe side


def test_a_cell_that_moved_is_found_and_few_others_are():
    rng, false, hits = np.random.default_rng(2), 0, 0
    for _ in range(60):
        found = worlds(rng, 20, 2, moved=0.25)
        judged = judge(found, ["all"] * 20, {"all": 10})
        hits += judged.q_value[0] <= 0.05
        false += (judged.q_value[1:] <= 0.05).sum()
    assert hits >= 55 and false <= 20  # of 1,140


def test_nothing_moves_where_only_seeds_differ():
    rng = np.random.default_rng(3)
    judged = [judge(worlds(rng, 20, 2), ["all"] * 20, {"all": 10}) for _ in range(100)]
    assert np.mean([(each.q_value <= 0.05).any() for each in judged]) <= 0.08
    assert np.mean([(each.p_value <= 0.05).mean() for each in judged]) == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize(("seeds", "variants"), [(2, 1), (2, 4), (4, 3)])
def test_the_level_holds_where_cells_share_encoders_and_variants_share_the_plain_data(seeds, variants):
    rng, rates, false = np.random.default_rng(5), [], []
    for _ in range(60):
        plain = rng.normal(0, 0.02, (5, 2, seeds))  # every encoder's seeds, as source and as target
        found = []
        for other in rng.normal(0, 0.02, (variants, 5, 2, seeds)):
            for i, j in ((i, j) for i in range(5) for j in range(5) if i != j):
                found.append(change_between(*(side[i, 0][:, None] + side[j, 1][None] for side in (plain, other))))
        judged = judge(found, ["all"] * len(found), {"all": freedom(5, seeds, variants)})
        rates.append((judged.p_value <= 0.05).mean())
        false.append((judged.q_value <= 0.05).any())
    assert 0.01 < np.mean(rates) < 0.07 and np.mean(false) < 0.1


def test_what_nothing_changes_is_no_test_and_noise_does_not_hide_others():
    fixed = change_between(np.full((2, 2), 0.3), np.full((2, 2), 0.3), np.zeros((5, 2, 2)))
    moved = change_between([[0.1, 0.12], [0.11, 0.13]], [[0.5, 0.52], [0.51, 0.53]])
    noisy = change_between([[0.1, 0.12], [0.11, 0.13]], [[0.13, 0.11], [0.1, 0.1]])
    judged = judge([fixed, moved, noisy], ["a", "a", "a"], {"a": 5})
    assert fixed.fixed and np.isnan(judged.p_value[0]) and judged.error[0] == 0 == judged.half_width[0]
    assert judged.error[1] > 0 and judged.q_value[1] < 0.05 < judged.q_value[2]


def test_two_seeds_tell_nothing_of_an_encoder_against_itself():
    one = np.array([[np.nan, 0.7], [0.7, np.nan]])
    change = change_between(one, one - 0.2, own=True)
    assert change.change == pytest.approx(-0.2) and np.isnan(change.seed_variance)
    judged = judge([change], ["own"], {"own": 5})
    assert np.isnan(judged.p_value[0]) and np.isnan(judged.error[0])


def test_samples_count_beside_seeds():
    rng = np.random.default_rng(4)
    drawn = rng.normal(0, 0.1, (4000, 1, 1)) + rng.normal(0, 0.02, (4000, 2, 2))
    change = change_between(np.zeros((2, 2)), np.full((2, 2), 0.1), drawn)
    assert change.sample_variance == pytest.approx(0.1**2 + 0.02**2 / 4, rel=0.1)
    judged = judge([change], ["x"], {"x": 5})
    assert judged.error[0] == pytest.approx(change.sample_variance**0.5) and judged.p_value[0] > 0.2


def test_values_of_other_seeds_are_refused():
    with pytest.raises(ValueError, match="same seeds"):
        change_between(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="no pair of seeds"):
        change_between(np.full((1, 1), np.nan), np.zeros((1, 1)))
    with pytest.raises(ValueError, match="kinds"):
        judge([change_between(np.zeros((2, 2)), np.ones((2, 2)))], ["x"], {})
