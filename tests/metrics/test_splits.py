"""Comparative Sharedness beside all other splits of the same encoders."""

from itertools import combinations, pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import topk

from benchmark.metrics import comparative_sharedness, counts_between, sharedness_baseline, split_histogram

EDGES = np.linspace(-1, 1, 21)


def every_split(rho, g):
    """Differences (splits, m) of all splits, listed one by one, the first g encoders against the others first."""
    squares = np.maximum(rho, 0) ** 2
    found = []
    for members in combinations(range(len(rho)), g):
        others = [i for i in range(len(rho)) if i not in members]
        found.append(squares[list(members)].min(0) - squares[others].max(0))
    return np.array(found)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**6), st.booleans())
def test_all_splits_are_counted_as_if_they_were_listed(g, h, seed, ties):
    rho = np.random.default_rng(seed).uniform(-0.2, 1, (g + h, 7)).round(1 if ties else 9)
    listed = every_split(rho, g)
    found = sharedness_baseline(rho[:g], rho[g:])
    np.testing.assert_array_equal(found.p_value, (listed >= listed[0]).mean(0))
    np.testing.assert_allclose(found.expected, listed.mean(0), atol=1e-12)
    shares = (listed > 0).mean(1)
    assert found.splits == len(listed) == comb(g + h, g)
    assert found.positive == shares[0] and found.positive_by_chance == pytest.approx(shares.mean(), abs=1e-12)
    assert found.positive_p == pytest.approx((shares >= shares[0]).mean(), abs=1e-12)
    expected = [((listed > low) & (listed <= high)).sum() / len(listed) for low, high in pairwise(EDGES)]
    np.testing.assert_allclose(split_histogram(rho[:g], rho[g:], EDGES), expected, atol=1e-9)


def test_two_exchangeable_encoders_against_two_give_one_positive_delta_in_six():
    m, *others = (topk(1500, 150, 6, seed) for seed in range(5))
    found = comparative_sharedness(m, others[:2], others[2:])
    rho = [comparative_sharedness(m, [item], [item]).rho_shared for item in others]
    baseline = sharedness_baseline(rho[:2], rho[2:])
    assert baseline.positive == pytest.approx((found.delta > 0).mean())
    assert baseline.positive_by_chance == pytest.approx(1 / 6, abs=1e-9)
    assert baseline.positive == pytest.approx(1 / 6, abs=0.1)
    assert baseline.p_value.min() == pytest.approx(1 / 6)


def test_where_groups_are_no_different_the_histogram_is_that_of_chance_and_else_it_is_not():
    rng = np.random.default_rng(0)
    common = rng.uniform(0, 1, 20_000)  # features differ in how far anything finds them, encoders do not
    rho = np.clip(common + rng.normal(0, 0.1, (6, 20_000)), 0, 1)
    edges = np.linspace(-1, 1, 41)

    def chi_square(values):
        observed = counts_between(values[:3].min(0) ** 2 - values[3:].max(0) ** 2, edges)
        chance = split_histogram(values[:3], values[3:], edges)
        usual = chance >= 20
        return ((observed - chance)[usual] ** 2 / chance[usual]).sum() / usual.sum()

    assert chi_square(rho) < 2
    rho[:3, :200] = 0.9  # one feature in a hundred is shared by the first three alone
    rho[3:, :200] = 0.1
    assert chi_square(rho) > 5
    assert sharedness_baseline(rho[:3], rho[3:]).positive_p == 1 / 20


def test_more_splits_than_can_be_listed_are_counted():
    rho = np.random.default_rng(1).uniform(0, 1, (40, 500))
    found = sharedness_baseline(rho[:20], rho[20:])
    assert found.splits == comb(40, 20) and found.positive == 0 and found.positive_p == 1
    assert found.expected.mean() == pytest.approx(1 / 41**2 - (40 / 41) ** 2, abs=0.05)
    assert split_histogram(rho[:20], rho[20:], [-2, 2]).sum() == pytest.approx(500)


def test_a_difference_of_0_is_not_above_0():
    zeros = np.zeros((2, 5))
    assert split_histogram(zeros, zeros, [-0.1, 0, 0.1]).tolist() == [5, 0]
    assert sharedness_baseline(zeros, zeros).positive == 0


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="shapes"):
        sharedness_baseline(np.zeros((1, 3)), np.zeros((1, 4)))
    with pytest.raises(ValueError, match="shapes"):
        sharedness_baseline(np.zeros((1, 0)), np.zeros((1, 0)))
    with pytest.raises(ValueError, match="rho must be finite"):
        sharedness_baseline([[0.1, np.nan]], np.zeros((1, 2)))
