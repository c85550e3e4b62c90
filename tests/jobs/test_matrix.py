"""Cells are means over pairs of seeds, with intervals that resample seeds and samples."""

import itertools

import numpy as np
import pandas as pd

from benchmark.features import SparseFeatures
from benchmark.jobs.matrix import RESAMPLES, cells, compare_pairs, wide


def table(values, spread):
    """A long table and its draws for {(source, target): mean}, with three seeds each."""
    rng = np.random.default_rng(0)
    rows, draws = [], {}
    for (source, target), value in values.items():
        for s, t in itertools.product(range(3), repeat=2):
            if source == target and s == t:
                continue
            rows.append({"source": source, "target": target, "source_seed": s, "target_seed": t, "aggregate": "last",
                         "recorded_on": "all", "n_samples": 9, "naive": value, "chance": 0.1, "calibrated": value / 2,
                         "crossfit": value + 0.01 * (s - t), "mppc": value, "mppc_chance": 0.1})  # fmt: skip
            draws["all", "last", (source, s), (target, t)] = value + spread * rng.standard_normal(RESAMPLES)
    return pd.DataFrame(rows), draws


def test_a_cell_is_the_mean_over_pairs_of_seeds():
    found = cells(*table({("a", "b"): 0.4, ("b", "a"): 0.6, ("a", "a"): 0.8}, 0.01))
    by_pair = found.set_index(["source", "target"])
    assert by_pair.loc[("a", "b"), "crossfit"] == np.float64(0.4).round(12) or np.isclose(
        by_pair.loc[("a", "b"), "crossfit"], 0.4
    )
    assert by_pair.seed_pairs.to_dict() == {("a", "b"): 9, ("b", "a"): 9, ("a", "a"): 6}
    assert ((found.low < found.crossfit) & (found.crossfit < found.high)).all()
    matrix = wide(found, "naive", ["b", "a"])
    assert np.isnan(matrix.loc["b", "b"]) and matrix.loc["b", "a"] == 0.6


def test_intervals_widen_with_the_spread_of_samples_and_of_seeds():
    narrow = cells(*table({("a", "b"): 0.5}, 0.001)).iloc[0]
    wide_ = cells(*table({("a", "b"): 0.5}, 0.05)).iloc[0]
    assert wide_.high - wide_.low > 3 * (narrow.high - narrow.low)
    long, draws = table({("a", "b"): 0.5}, 0.001)
    shifted = {key: value + 0.1 * key[2][1] for key, value in draws.items()}
    by_seed = cells(long, shifted).iloc[0]
    assert by_seed.high - by_seed.low > 0.05


def test_pairs_are_compared_both_ways_and_never_with_themselves():
    rng = np.random.default_rng(0)
    recorded = {
        (name, seed): {0: SparseFeatures.from_dense(np.maximum(rng.standard_normal((60, 8)), 0), "s")}
        for name in "ab"
        for seed in (0, 1)
    }
    long, draws = compare_pairs(recorded, {"all": np.arange(60)}, permutations=2, folds=2)
    seen = set(zip(long.source, long.source_seed, long.target, long.target_seed, strict=True))
    assert len(long) == len(seen) == 12 == len(draws)
    assert all((s, i) != (t, j) for s, i, t, j in seen)
