"""Contributions: exactly what leaving a sample or a group out does to the cross-fitted value, partners fixed."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planted import bernoulli, hostile_pairs

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.jobs.validation_scores import auc
from benchmark.metrics import contributions, crossfit, max_correlation
from benchmark.metrics.groups import folds as make_folds
from benchmark.metrics.mismatches import moved_captions, with_rows_of
from benchmark.worlds import WorldConfig, make_world

sparse = SparseFeatures.from_dense


def brute_force(source, target, units, groups, folds, seed, aggregate):
    """Values of all samples and without each unit, in the definition's own words: (value, changes, agreements)."""
    n = len(source[0])
    fold = make_folds(groups, folds, np.random.default_rng(seed))
    f, g = np.concatenate(source, 1).astype(float), np.concatenate(target, 1).astype(float)
    spread = g.std(0)
    varies = (g != g[:1]).any(0)
    g = g / np.where(varies, spread, 1)
    partner = [
        max_correlation(
            [sparse(x[fold != h]) for x in source], [sparse(x[fold != h]) for x in target]
        ).source_match
        for h in range(folds)
    ]  # fmt: skip
    sizes = [x.shape[1] for x in source]
    layer = np.repeat(np.arange(len(sizes)), sizes) if aggregate == "layer_mean" else np.zeros(sum(sizes), int)
    share = np.bincount(layer) / len(layer)
    whole = np.ones(n, bool)

    def value(kept, weights):
        cross, own, other = np.zeros(len(layer)), np.zeros(len(layer)), np.zeros(len(layer))
        for h in range(folds):
            rows = kept & (fold == h)
            for i, p in enumerate(partner[h]):
                a, b = f[rows, i], (g[rows, p] if p >= 0 else np.zeros(rows.sum()))
                own[i] += (0 if np.ptp(a) == 0 else a.var()) * len(a)
                other[i] += (0 if np.ptp(b) == 0 else b.var()) * len(b)
                cross[i] += ((a - a.mean()) * (b - b.mean())).sum()
        live = (own > 0) & (other > 0)
        r = np.where(live, cross / np.sqrt(np.where(live, own * other, 1)), 0).clip(-1, 1)
        top, bottom = np.bincount(layer, weights * r), np.bincount(layer, weights)
        return share @ np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), np.nan)

    total = value(whole, f.sum(0))
    without = [units != u for u in range(units.max() + 1)]
    changes = np.array([total - value(kept, f[kept].sum(0)) for kept in without])
    return total, changes, np.array([total - value(kept, f.sum(0)) for kept in without])


@pytest.mark.parametrize("aggregate", ["layer_mean", "global"])
@pytest.mark.parametrize("kind", [sparse, DenseFeatures])
@pytest.mark.parametrize("grouped", [False, True])
def test_contributions_are_those_of_leaving_out_one_after_the_other(aggregate, kind, grouped):
    rng = np.random.default_rng(1)
    n = 96
    source = [bernoulli(n, m, 0.25, seed=m) for m in (5, 8)]
    target = [bernoulli(n, m, 0.25, seed=20 + m) for m in (7, 4)]
    target[1][:, 0] = source[0][:, 3] + 0.3 * target[1][:, 0]
    target[0][:, 2] = 2 * source[1][:, 1]
    source[1][:, 2], source[0][:, 0], target[0][:, 1] = 4, 0, 0
    source[1][:, 5] += 1000  # fires everywhere
    source[0][5:, 4] = 0  # hardly ever
    groups = np.sort(rng.integers(0, 30, n)) if grouped else np.arange(n)
    groups = np.unique(groups, return_inverse=True)[1]
    mine = [[kind(x, groups=groups) for x in side] for side in (source, target)]
    for units in (np.arange(n), groups):
        both = contributions(*mine, folds=3, seed=4, aggregate=aggregate, units=units)
        for found, a, b, ways in ((both[0], source, target, mine), (both[1], target, source, mine[::-1])):
            value, changes, agreements = brute_force(a, b, units, groups, 3, 4, aggregate)
            assert found.value == pytest.approx(value, abs=1e-9)
            assert found.value == pytest.approx(crossfit(*ways, folds=3, seed=4, aggregate=aggregate), abs=1e-6)
            np.testing.assert_allclose(found.change, changes, atol=1e-9)
            np.testing.assert_allclose(found.agreement, agreements, atol=1e-9)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(hostile_pairs(most_latents=5), st.integers(0, 99))
def test_contributions_are_exact_on_hostile_features(pair, seed):
    a, b = pair[0], pair[1][:, :1]  # a single candidate: the partner is certain
    assume(len(a) >= 6 and (np.count_nonzero(a.any(1)) > 1) and b.any())
    n = len(a)
    value, changes, _ = brute_force([a], [b], np.arange(n), np.arange(n), 3, seed, "global")
    found, _ = contributions(sparse(a), sparse(b), folds=3, seed=seed, aggregate="global")
    assert found.value == pytest.approx(value, abs=1e-6)
    known = np.isfinite(changes)
    np.testing.assert_allclose(found.change[known], changes[known], atol=1e-6)


def test_samples_with_anothers_caption_contribute_least():
    world = make_world(WorldConfig(n_latents=200, k=8, share=0.5), 3000, 0)
    found = {}
    for rate in (0.05, 0.3):
        captions = [str(i) for i in range(3000)]
        moved = moved_captions(captions, np.arange(3000), rate, np.random.default_rng(1))
        there, back = contributions(world.source, with_rows_of(world.target, moved.source))
        for name, score in (("there", there.change), ("back", back.change), ("fixed weights", there.agreement)):
            found[rate, name] = auc(score[~moved.wrong], score[moved.wrong])
    assert min(found.values()) > 0.9
    order = np.random.default_rng(2).permutation(3000)
    there, _ = contributions(world.source, with_rows_of(world.target, order))  # nothing is shared any more
    assert 0.4 < auc(there.change[~moved.wrong], there.change[moved.wrong]) < 0.6


def test_contributions_do_not_depend_on_how_captions_of_an_image_are_counted():
    one = make_world(WorldConfig(n_latents=60, k=4, share=0.5), 400, 0)
    rows, groups = np.repeat(np.arange(400), 3), np.repeat(np.arange(400), 3)

    def threefold(f):
        return SparseFeatures(f.indices[rows], f.values[rows], f.n_latents, groups=groups)

    there, _ = contributions(one.source, one.target)
    by_group, _ = contributions(threefold(one.source), threefold(one.target), units=groups)
    assert by_group.value == pytest.approx(there.value, abs=1e-9)
    np.testing.assert_allclose(by_group.change, there.change, atol=1e-9)


def test_units_that_reach_over_folds_and_other_mistakes_are_refused():
    f = sparse(bernoulli(40, 5, 0.5, seed=0))
    with pytest.raises(ValueError, match="reaches over folds"):
        contributions(f, f, units=np.zeros(40, int))
    with pytest.raises(ValueError, match="no sample of unit 3"):
        contributions(f, f, units=np.where(np.arange(40) == 3, 4, np.arange(40)))
    with pytest.raises(ValueError, match=r"one entry a sample, \(40,\), got \(3,\)"):
        contributions(f, f, units=np.arange(3))
    with pytest.raises(ValueError, match="at least 2 folds"):
        contributions(f, f, folds=1)
    with pytest.raises(ValueError, match="'last'"):
        contributions(f, f, aggregate="last")
    with pytest.raises(ValueError, match="no feature of the source is ever active"):
        contributions(sparse(np.zeros((40, 5))), f)
