"""How Comparative Sharedness changes from the plain data to each variant: as a whole, and feature by feature."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.jobs.drift_cells import judged_table
from benchmark.jobs.drift_rows import Compared, common_rows, under
from benchmark.jobs.drift_same import LEAST
from benchmark.jobs.encoder_groups import Groups
from benchmark.jobs.sharedness_features import matched
from benchmark.metrics import crossfitted_sharedness, max_correlation
from benchmark.metrics.crossfit_sharedness import CrossfitSharedness
from benchmark.metrics.drift import Change, change_between, freedom

FEATURE_COLUMNS = ["variant", "source", "pairs", "seeds", "spearman", "overlap", "overlap_5", "rho"]
Found = dict[tuple[int, int], CrossfitSharedness]
"""Seed of M and seed of G and H -> Comparative Sharedness."""


def delta_tables(compared: Sequence[Compared], groups: Sequence[Groups]) -> dict[str, pd.DataFrame]:
    """Return the tables `delta` and `delta_features`, both without rows where there are no groups.

    delta: one row per variant and M, with source, shared_with, absent_from, plain and value (the S-weighted mean of
    rho_shared^2 - rho_absent^2, cross-fitted, over all pairs of a seed of M and one of G and H), positive_plain and
    positive (share of live features with a Delta above 0), and change to moved as in `changes`. The samples' errors of
    both datasets count as independent, which is too much where they hold the same samples.

    delta_features: agreement of Delta between a feature of the plain data's SAE and its partner in the variant's, over
    the samples both have: spearman, overlap, overlap_5 and rho as `sharedness_features.matched` says, means over pairs
    of seeds. pairs: same or other seeds; variant `plain` is the ceiling.
    """
    cells, found, kinds, rows = [], [], [], []
    for each in groups:
        on = {
            other.name: _found(other, each)
            for other in tqdm(compared, f"Delta of {each.source}", unit="dataset", mininterval=0.5)
        }
        first = on[compared[0].name]
        for other in compared[1:]:
            there = on[other.name]
            found.append(_change(first, there))
            kinds.append(each.source)
            cells.append({
                "variant": other.name, "source": each.source, "shared_with": ",".join(each.shared_with),
                "absent_from": ",".join(each.absent_from), "plain": _means(first).mean(), "value": _means(there).mean(),
                "positive_plain": _positive(first), "positive": _positive(there),
            })  # fmt: skip
        rows += _features(compared, each, on)
    n_seeds = len(compared[0].material.plan.suite.seeds)
    # Two kinds of dictionaries have seeds: M's, and those of G and H together.
    delta = judged_table(
        pd.DataFrame(cells), found, kinds, dict.fromkeys(kinds, freedom(2, n_seeds, len(compared) - 1))
    )
    return {"delta": delta, "delta_features": pd.DataFrame(rows, columns=FEATURE_COLUMNS)}


def _found(data: Compared, groups: Groups) -> Found:
    suite = data.material.plan.suite
    features = {
        (name, seed): data.last(name, seed)[1]
        for name in (groups.source, *groups.shared_with, *groups.absent_from)
        for seed in suite.seeds
    }
    return {
        (s, t): crossfitted_sharedness(
            features[groups.source, s], [features[name, t] for name in groups.shared_with],
            [features[name, t] for name in groups.absent_from], folds=suite.folds,
        )
        for s, t in product(suite.seeds, repeat=2)
    }  # fmt: skip


def _means(found: Found) -> NDArray[np.float64]:
    size = round(len(found) ** 0.5)
    return np.array([item.mean for item in found.values()]).reshape(size, size)


def _positive(found: Found) -> float:
    return float(np.mean([(item.delta[item.weights > 0] > 0).mean() for item in found.values()]))


def _change(plain: Found, variant: Found) -> Change:
    change = change_between(_means(plain), _means(variant))
    errors = np.array([[item.mean_error for item in part.values()] for part in (plain, variant)])
    # Errors of pairs of seeds are of the same samples: their mean's error is not smaller.
    return change._replace(sample_variance=float((errors.mean(1) ** 2).sum()))


def _features(compared: Sequence[Compared], groups: Groups, on: dict[str, Found]) -> list[tuple]:
    plain, seeds = compared[0], compared[0].material.plan.suite.seeds
    rows = []
    for other in compared:
        own, there = common_rows(plain, other)
        if len(own) < LEAST:
            continue
        found: dict[str, list[list[float]]] = {"same": [], "other": []}
        for s, t in product(seeds, repeat=2):
            if other is plain and s == t:
                continue
            one = plain.last(groups.source, s, own)[1]
            match = max_correlation(one, under(other.last(groups.source, t, there)[1], one))
            deltas = on[plain.name][s, s].delta, on[other.name][t, t].delta
            agreed = matched(*deltas, match.source_match, match.source)
            found["same" if s == t else "other"].append(list(agreed.values()))
        for kind, values in found.items():
            if values:
                rows.append((other.name, groups.source, kind, len(values), *np.mean(values, 0)))
    return rows
