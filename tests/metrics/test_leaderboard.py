"""The leaderboard against plain loops, planted differences, and what groups of equals must mean."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics.describe import BOARD
from benchmark.metrics.leaderboard import groups_of_equals, leaderboard

KINDS = {"a": "vlm", "b": "vlm", "c": "text", "d": "vision"}
SEEDS = (0, 1, 4)


def comparison(value, resamples=200, noise=0.01):
    """Table and draws of all pairs: value(source, seed, target, seed) -> cross-fitted value."""
    rng = np.random.default_rng(0)
    sides = list(itertools.product(KINDS, SEEDS))
    rows, draws = [], {}
    for (a, s), (b, t) in itertools.permutations(sides, 2):
        if (a, s) == (b, t):
            continue
        rows.append({
            "recorded_on": "heldout", "aggregate": "last", "source": a, "source_seed": s, "target": b,
            "target_seed": t, "crossfit": value(a, s, b, t),
        })  # fmt: skip
        draws["heldout", "last", (a, s), (b, t)] = value(a, s, b, t) + noise * rng.normal(size=resamples)
    return pd.DataFrame(rows), draws


def random_value():
    rng, found = np.random.default_rng(1), {}
    return lambda *key: found.setdefault(key, float(rng.random()))


def test_every_figure_is_the_mean_over_pairs_of_seeds_then_over_encoders():
    value = random_value()
    table, draws = comparison(value)
    board = leaderboard(table, draws, KINDS)
    assert set(board.column) == set(BOARD)
    found = board.set_index(["encoder", "seed", "column"]).value

    def cell(a, b, left=SEEDS, right=SEEDS):
        return np.mean([value(a, s, b, t) for s in left for t in right if (a, s) != (b, t)])

    for name in KINDS:
        others = [other for other in KINDS if other != name]
        assert found[name, "", "share"] == pytest.approx(np.mean([cell(name, other) for other in others]))
        assert found[name, "", "found"] == pytest.approx(np.mean([cell(other, name) for other in others]))
        assert found[name, "", "asymmetry"] == pytest.approx(found[name, "", "share"] - found[name, "", "found"])
        assert found[name, "", "stability"] == pytest.approx(cell(name, name))
        for kind in set(KINDS.values()):
            members = [other for other in others if KINDS[other] == kind]
            if members:
                expected = np.mean([cell(name, other) for other in members])
                assert found[name, "", f"share_{kind}"] == pytest.approx(expected)
            else:
                assert (name, "", f"share_{kind}") not in found
        for one in SEEDS:
            expected = np.mean([cell(name, other, left=[one]) for other in others])
            assert found[name, str(one), "share"] == pytest.approx(expected)
            expected = np.mean([cell(other, name, right=[one]) for other in others])
            assert found[name, str(one), "found"] == pytest.approx(expected)
            assert found[name, str(one), "stability"] == pytest.approx(cell(name, name, left=[one]))


def test_planted_differences_are_told_apart_and_equals_are_not():
    level = {"a": 0.5, "b": 0.5, "c": 0.3, "d": 0.1}
    board = leaderboard(*comparison(lambda a, s, b, t: level[a]), KINDS)
    share = board[(board.column == "share") & (board.seed == "")].set_index("encoder")
    assert share.group.to_dict() == {"a": "1", "b": "1", "c": "2", "d": "3"}
    assert ((share.low < share.value) & (share.value < share.high)).all()
    assert (board[board.seed != ""].group == "").all()


def test_seeds_that_disagree_widen_the_interval():
    quiet = leaderboard(*comparison(lambda a, s, b, t: 0.3, noise=0.001), KINDS)
    loud = leaderboard(*comparison(lambda a, s, b, t: 0.3 + 0.1 * (s == 4), noise=0.001), KINDS)

    def width(board):
        return (board.high - board.low)[(board.column == "share") & (board.seed == "")].mean()

    assert width(loud) > 5 * width(quiet)


def test_one_seed_has_no_stability_and_no_class_without_encoders_has_a_column():
    table, draws = comparison(random_value())
    one = table[(table.source_seed == 0) & (table.target_seed == 0)]
    board = leaderboard(one, draws, {name: "text" for name in KINDS})
    assert set(board.column) == {"share_text", "share", "found", "asymmetry"}
    assert np.isfinite(board[["value", "low", "high"]]).all(axis=None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.floats(0.001, 0.5), st.integers(0, 5))
def test_two_values_share_a_group_exactly_if_they_do_not_differ(values, noise, seed):
    draws = np.array(values)[:, None] + noise * np.random.default_rng(seed).normal(size=(len(values), 50))
    groups = [set(text.split()) for text in groups_of_equals(values, draws)]
    assert all(groups)
    # All differences judged by plain loops, Holm's method included.
    from math import erfc, sqrt

    p = {}
    for i, j in itertools.combinations(range(len(values)), 2):
        deviation = np.std(draws[i] - draws[j], ddof=1)
        p[i, j] = erfc(abs(values[i] - values[j]) / deviation / sqrt(2))
    different, left = set(), sorted(p, key=p.get)
    for rank, pair in enumerate(left):
        if p[pair] > 0.05 / (len(left) - rank):
            break
        different.add(pair)
    for pair in p:
        assert (not groups[pair[0]] & groups[pair[1]]) == (pair in different)


def test_a_value_that_is_not_known_is_in_no_group():
    assert groups_of_equals([np.nan, 0.5], np.zeros((2, 10))) == ["", "1"]
    assert groups_of_equals([0.2, 0.5, 0.5], np.zeros((3, 10))) == ["2", "1", "1"]
