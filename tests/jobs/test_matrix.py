"""Cells are means over pairs of seeds, with intervals that resample seeds and samples."""

import itertools

import numpy as np
import pandas as pd
import pytest

from benchmark.catalog import SuiteCard
from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.jobs.matrix import RESAMPLES, cells, compare_pairs, wide
from benchmark.jobs.sides import Recorded
from benchmark.metrics import crossfit, wmppc
from benchmark.metrics.correlation import max_correlation
from benchmark.metrics.paper_code import paper_wmppc

AMPLE = 1 << 40


def table(values, spread):
    """A long table and its draws for {(source, target): mean}, with three seeds each."""
    rng = np.random.default_rng(0)
    rows, draws = [], {}
    for (source, target), value in values.items():
        for s, t in itertools.product(range(3), repeat=2):
            if source == target and s == t:
                continue
            rows.append({"source": source, "target": target, "source_seed": s, "target_seed": t, "aggregate": "last",
                         "recorded_on": "all", "n_samples": 9, "n_groups": 9,
                         "naive": value, "chance": 0.1, "calibrated": value / 2,
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


def suite(**options):
    return SuiteCard(**{"name": "s", "dataset": "d", "encoders": (), "permutations": 2, "folds": 2} | options)


@pytest.fixture
def recorded(tmp_path):
    """Recorded features of a few encoders and seeds, of the first two of them also in layers; returns a maker."""

    def make(names="ab", seeds=(0, 1), layers=1, kind=SparseFeatures, folder="x", norms=False):
        rng = np.random.default_rng([len(folder), ord(folder[0])])
        found = {}
        for name, seed in itertools.product(names, seeds):
            paths, lengths = {}, {}
            for layer in range(layers):
                paths[layer] = tmp_path / folder / f"{name}{seed}{layer}.safetensors"
                kind.from_dense(np.maximum(rng.standard_normal((60, 8)), 0), "s").save(paths[layer])
                lengths[layer] = tmp_path / f"{folder}{name}{seed}{layer}.npy"
                np.save(lengths[layer], rng.random(8).astype(np.float32) + 0.5)
            found[name, seed] = Recorded(paths, 60, lengths if norms else {})
        return found

    return make


def features_of(side, rows):
    return [features for features in side.load(rows).values()]


ALL = {"all": np.arange(60)}


def test_pairs_are_compared_both_ways_and_never_with_themselves(recorded):
    long, draws = compare_pairs(suite(), recorded(), ALL, budget=AMPLE)
    seen = set(zip(long.source, long.source_seed, long.target, long.target_seed, strict=True))
    assert len(long) == len(seen) == 12 == len(draws)
    assert all((s, i) != (t, j) for s, i, t, j in seen)
    assert set(long.codes) == {"topk"} and "paper_code" not in long and "untrained" not in long


@pytest.mark.parametrize("budget", [1, 20_000])
def test_a_comparison_in_little_memory_is_the_same_to_the_bit(recorded, budget):
    sides, rows = recorded("abc", layers=2), {"all": np.arange(60), "some": np.arange(0, 60, 2)}
    ample, few = (compare_pairs(suite(), sides, rows, untrained=sides, budget=b) for b in (AMPLE, budget))
    pd.testing.assert_frame_equal(ample[0], few[0], check_exact=True)
    pd.testing.assert_frame_equal(cells(*ample), cells(*few), check_exact=True)


def test_the_floor_is_that_of_the_first_seeds_before_training(recorded):
    sides, untrained = recorded(), recorded(folder="initial")
    long, draws = compare_pairs(suite(), sides, ALL, untrained=untrained, budget=AMPLE)
    first, second = ({name: features_of(untrained[name, seed], ALL["all"]) for name in "ab"} for seed in (0, 1))
    between = long[(long.source == "a") & (long.target == "b")]
    assert len(between) == 4 and between.untrained.nunique() == 1
    assert between.untrained.iloc[0] == pytest.approx(crossfit(first["a"], first["b"], folds=2), abs=1e-12)
    own = long[(long.source == "b") & (long.target == "b")].untrained.unique()
    both = [crossfit(first["b"], second["b"], folds=2), crossfit(second["b"], first["b"], folds=2)]
    assert own == pytest.approx(np.mean(both), abs=1e-12)
    assert cells(long, draws).set_index(["source", "target"]).untrained["b", "b"] == pytest.approx(np.mean(both))


def test_weights_of_the_scale_free_form_are_in_the_units_of_the_activations(recorded):
    sides = recorded(seeds=(0,), norms=True)
    row = compare_pairs(suite(), sides, ALL, budget=AMPLE)[0].iloc[0]
    (own,), (other,) = (features_of(sides[name, 0], ALL["all"]) for name in "ab")
    norms = np.load(sides["a", 0].norms[0])
    rho = max_correlation(own, other).source
    assert row.naive_scale_free == pytest.approx(wmppc(rho, own.weights * norms), abs=1e-6)
    assert row.naive == pytest.approx(wmppc(rho, own.weights), abs=1e-6) != row.naive_scale_free
    # Moving scale from the decoder into the code leaves it as it is, and changes the plain form.
    factor = np.linspace(0.2, 3, 8).astype(np.float32)
    path = sides["a", 0].features[0]
    SparseFeatures.load(path).scaled(factor).save(path)
    np.save(sides["a", 0].norms[0], norms / factor)
    moved = compare_pairs(suite(), sides, ALL, budget=AMPLE)[0].iloc[0]
    for measure in ("naive", "crossfit"):
        assert moved[f"{measure}_scale_free"] == pytest.approx(row[f"{measure}_scale_free"], abs=1e-5)
        assert abs(moved[measure] - row[measure]) > 1e-3


@pytest.mark.parametrize("layers", [1, 2])
def test_features_without_topk_are_compared_as_the_authors_code_does(recorded, layers):
    sides = recorded(seeds=(0,), layers=layers, kind=DenseFeatures)
    long, _ = compare_pairs(suite(paper_code=True), sides, ALL, budget=AMPLE)
    assert set(long.codes) == {"relu"} and len(long) == (2 if layers == 1 else 4)
    a, b = (features_of(sides[name, 0], ALL["all"]) for name in "ab")
    wanted = {"last": "last", "layer_mean": "overall"}
    for row in long.itertuples():
        ours = paper_wmppc(*((a, b) if row.source == "a" else (b, a)))
        assert row.paper_code == pytest.approx(getattr(ours, wanted[row.aggregate]), abs=1e-12)
        assert row.paper_code == pytest.approx(row.naive * 59 / 60, abs=1e-6)  # up to rounding, all it changes


def test_rare_features_are_emptied_before_they_are_compared(recorded):
    sides = recorded(seeds=(0,))
    counts = [np.count_nonzero(features_of(side, ALL["all"])[0].to_dense(), axis=0) for side in sides.values()]
    limit = int(np.median(counts[0]))
    row = compare_pairs(suite(min_count=limit), sides, ALL, budget=AMPLE)[0].iloc[0]
    own, other = (features_of(side, ALL["all"])[0].to_dense() for side in sides.values())
    kept = [DenseFeatures(np.where(n < limit, 0, f), "s") for f, n in zip((own, other), counts, strict=True)]
    assert row.naive == pytest.approx(wmppc(max_correlation(*kept).source, kept[0].weights), abs=1e-6)
