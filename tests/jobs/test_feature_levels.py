"""The chosen samples are the strongest ones and spread over the quarters, one a group; summaries count what fires."""

import numpy as np
import pytest

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.jobs.feature_levels import EACH, LEVELS, TOP, feature_levels, feature_summary


def rows_of(table, feature, level="top"):
    return table[(table.feature == feature) & (table.level == level)].row.tolist()


def by_hand(dense, groups):
    """Every feature's (level, rank, row), sample by sample."""
    found = []
    for feature, column in enumerate(dense.T):
        if (column == column[0]).all():
            continue
        ranked, seen = [], set()
        for row in sorted(np.flatnonzero(column), key=lambda row: (-column[row], row)):
            if groups[row] not in seen:
                seen.add(groups[row])
                ranked.append(int(row))
        found += [(feature, "top", rank, row) for rank, row in enumerate(ranked[:TOP])]
        used = set(range(TOP))
        for quarter, level in enumerate(LEVELS[1:]):
            rank = 0
            for part in range(EACH):
                middle = int((quarter * EACH + part + 0.5) * len(ranked) / 12 + 1e-9)
                if middle not in used and middle < len(ranked):
                    used.add(middle)
                    found.append((feature, level, rank, ranked[middle]))
                    rank += 1
    return found


def as_tuples(table):
    return [tuple(row) for row in table[["feature", "level", "rank", "row"]].itertuples(index=False)]


@pytest.mark.parametrize("captions", [1, 5])
@pytest.mark.parametrize("kind", [SparseFeatures, DenseFeatures])
def test_samples_are_those_found_by_hand(kind, captions):
    rng = np.random.default_rng(captions)
    # Few different values, so that there are ties; features from rare to always active.
    active = rng.random((300, 12)) < np.linspace(0, 1, 12)
    dense = (rng.integers(1, 40, (300, 12)) * active).astype(np.float32)
    dense[:, 4] = 2  # constant, though always active
    groups = np.arange(300) // captions + 1000
    table = feature_levels(kind.from_dense(dense, groups=groups))
    assert as_tuples(table) == by_hand(dense, groups)
    np.testing.assert_array_equal(table.value, dense[table.row, table.feature])
    assert not {0, 4} & set(table.feature)


def test_dense_codes_give_the_same_in_every_size_of_block(monkeypatch):
    from benchmark.jobs import feature_levels as module

    dense = np.maximum(np.random.default_rng(0).normal(size=(90, 7)), 0).astype(np.float32)
    whole = feature_levels(DenseFeatures(dense)), feature_summary(DenseFeatures(dense))
    monkeypatch.setattr(module, "BLOCK", 200)  # two features at a time
    for one, other in zip(whole, (feature_levels(DenseFeatures(dense)), feature_summary(DenseFeatures(dense))),
                          strict=True):  # fmt: skip
        assert one.equals(other)


def test_ties_go_to_the_lowest_row_and_a_group_counts_once():
    dense = np.zeros((40, 2), np.float32)
    dense[:, 0] = np.r_[np.full(20, 3), np.full(20, 5)]
    dense[[3, 9, 30], 1] = [1, 7, 7]
    assert rows_of(feature_levels(SparseFeatures.from_dense(dense)), 0) == list(range(20, 28))
    table = feature_levels(SparseFeatures.from_dense(dense, groups=np.arange(40) // 5))
    assert rows_of(table, 0) == [20, 25, 30, 35, 0, 5, 10, 15] and rows_of(table, 1) == [9, 30, 3]


def test_quarters_lie_where_their_names_say():
    dense = np.random.default_rng(1).permutation(np.arange(1, 1201)).astype(np.float32)[:, None]
    table = feature_levels(SparseFeatures.from_dense(np.hstack([dense, dense[::-1]])))
    assert len(table) == 2 * (TOP + 4 * EACH) and not table.duplicated(["feature", "row"]).any()
    for level, low in zip(LEVELS[1:], (900, 600, 300, 0), strict=True):
        values = table[table.level == level].value
        assert len(values) == 2 * EACH and values.between(low, low + 300).all()
        assert np.ptp(values) == 200  # not all from one end of the quarter


def test_a_feature_with_few_samples_shows_each_once():
    dense = np.zeros((30, 3), np.float32)
    dense[:5, 0], dense[:10, 1], dense[:20, 2] = 1, np.arange(10, 0, -1), np.arange(20, 0, -1)
    table = feature_levels(SparseFeatures.from_dense(dense))
    assert rows_of(table, 0) == [0, 1, 2, 3, 4]
    assert table[table.feature == 1].row.tolist() == list(range(10))
    assert not table.duplicated(["feature", "row"]).any()


def test_the_summary_tells_live_features_from_constant_ones():
    dense = np.array([[0, 1, 2, 0], [0, 1, 2, 0], [0, 1, 2, 4], [0, 1, 3, 2]], np.float32)
    for features in (SparseFeatures.from_dense(dense), DenseFeatures(dense)):
        table = feature_summary(features)
        assert table.live.tolist() == [False, False, True, True]
        assert table.frequency.tolist() == [0, 4, 4, 2] and table.density.tolist() == [0, 1, 1, 0.5]
        np.testing.assert_array_equal(table.mean_active, np.float32([np.nan, 1, 2.25, 3]))
        np.testing.assert_array_equal(table.S, features.weights)


def test_no_samples_and_no_features_give_empty_tables():
    empty = SparseFeatures(np.zeros((0, 2), int), np.zeros((0, 2)), 4)
    silent = SparseFeatures(np.zeros((5, 2), int), np.zeros((5, 2)), 4)
    for features in (empty, silent, DenseFeatures(np.zeros((5, 4)))):
        assert len(feature_levels(features)) == 0 and not feature_summary(features).live.any()
