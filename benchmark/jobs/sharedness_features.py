"""The tables of Comparative Sharedness: one row per feature of M and seed, their partners, and agreement over seeds."""

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.features import Features
from benchmark.jobs.encoder_groups import Groups
from benchmark.metrics import (
    comparative_sharedness,
    crossfitted_sharedness,
    held_out_rho,
    max_correlation,
    rho_significance,
    sharedness_baseline,
    spearman,
    top,
)
from benchmark.metrics.ranks import TOP

Load = Callable[[str, int], tuple[int, Features]]
"""(encoder, seed) -> its deepest chosen layer, and that layer's features over the compared samples."""
PARTNERS_TOP = 0.05
"""Share of features whose partners are kept in a table."""


def feature_table(load: Load, groups: Groups, seed: int, *, folds: int, permutations: int) -> pd.DataFrame:
    """Return one row per feature of M under a seed, dead ones included.

    Columns: source, seed, layer, feature, live (active at all on the compared samples), S, S_share (S divided by its
    sum: comparable across encoders), and, cross-fitted: rho_shared, rho_absent, delta, delta_share (with S_share as S),
    error (of delta_share), p_value and q_value (of a Delta not above 0), rank (by delta, from 0), top (the top 1 %).
    As published: naive_rho_shared, naive_rho_absent, naive_delta, naive_rank, naive_top. Significance: q_found (the
    largest q-value over G of being found there more than by chance), q_found_absent (the least over H), p_split (share
    of all splits of the encoders into groups of these sizes with a Delta as high).
    """
    layer, own = load(groups.source, seed)
    shared = [load(name, seed)[1] for name in groups.shared_with]
    absent = [load(name, seed)[1] for name in groups.absent_from]
    fair = crossfitted_sharedness(own, shared, absent, folds=folds)
    naive = comparative_sharedness(own, shared, absent)
    sides = [[rho_significance(own, item, permutations=permutations) for item in part] for part in (shared, absent)]
    rho = [np.stack([item.rho for item in part]) for part in sides]
    q = [np.stack([item.q_value for item in part]) for part in sides]
    total = fair.weights.sum()
    table = pd.DataFrame({
        "source": groups.source, "seed": seed, "layer": layer, "feature": np.arange(own.n_latents),
        "live": fair.weights > 0, "S": fair.weights, "S_share": fair.weights / total,
        "rho_shared": fair.rho_shared, "rho_absent": fair.rho_absent,
        "delta": fair.delta, "delta_share": fair.delta / total, "error": fair.error / total,
        "p_value": fair.p_value, "q_value": fair.q_value,
        "rank": ranks(fair.delta), "top": ranks(fair.delta) < count(own),
        "naive_rho_shared": naive.rho_shared, "naive_rho_absent": naive.rho_absent, "naive_delta": naive.delta,
        "naive_rank": ranks(naive.delta), "naive_top": ranks(naive.delta) < count(own),
        "q_found": q[0].max(0), "q_found_absent": q[1].min(0),
        "p_split": sharedness_baseline(*rho).p_value,
    })  # fmt: skip
    return table


def summary(load: Load, groups: Groups, seed: int, table: pd.DataFrame, *, folds: int) -> dict[str, object]:
    """Return what the features of M under one seed add up to, as a row.

    mean_delta (with its 95 % interval low, high: the samples' part): the S-weighted mean of rho_shared^2 -
    rho_absent^2, cross-fitted; naive_mean_delta; positive and naive_positive: share of live features with a Delta above
    0, and positive_by_chance if all splits of the encoders were as good; significant: features with q_value up to 0.05.
    """
    own = load(groups.source, seed)[1]
    shared, absent = ([load(name, seed)[1] for name in part] for part in (groups.shared_with, groups.absent_from))
    fair = crossfitted_sharedness(own, shared, absent, folds=folds)
    live = table[table.live]
    rho = [np.stack([max_correlation(own, item).source for item in part])[:, table.live] for part in (shared, absent)]
    return {
        "source": groups.source, "shared_with": ",".join(groups.shared_with),
        "absent_from": ",".join(groups.absent_from), "seed": seed, "n_samples": own.n_samples,
        "features": len(table), "live": len(live), "mean_delta": fair.mean,
        "low": fair.mean - 1.96 * fair.mean_error, "high": fair.mean + 1.96 * fair.mean_error,
        "naive_mean_delta": float(live.naive_delta.sum() / live.S.sum()),
        "positive": float((live.delta > 0).mean()), "naive_positive": float((live.naive_delta > 0).mean()),
        "positive_by_chance": sharedness_baseline(*rho).positive_by_chance,
        "significant": int((live.q_value <= 0.05).sum()), "top": int(table.top.sum()),
        "top_significant": int((table.top & (table.q_value <= 0.05)).sum()),
        "top_naive_too": float((table.top & table.naive_top).sum() / table.top.sum()),
        "top_S_share": float(table.S_share[table.top].sum()),
        "top_delta_share": float(table.delta_share[table.top].sum()),
    }  # fmt: skip


def partner_table(load: Load, groups: Groups, seed: int, table: pd.DataFrame, *, folds: int) -> pd.DataFrame:
    """Return the partners in every encoder of the questions of the 5 % of features of M with the highest Delta.

    Columns: source, seed, layer, feature, target, role (shared_with, absent_from or beside), partner_layer, partner,
    rho (highest correlation with any feature), rho_crossfit (of partners chosen on other samples).
    """
    layer, own = load(groups.source, seed)
    chosen = table.sort_values("rank").feature.to_numpy()[: max(round(PARTNERS_TOP * own.n_latents), 1)]
    parts = []
    for role in ("shared_with", "absent_from", "beside"):
        for target in getattr(groups, role):
            partner_layer, other = load(target, seed)
            rho = max_correlation(own, other)
            parts.append(pd.DataFrame({
                "source": groups.source, "seed": seed, "layer": layer, "feature": chosen, "target": target,
                "role": role, "partner_layer": partner_layer, "partner": rho.source_match[chosen],
                "rho": rho.source[chosen], "rho_crossfit": held_out_rho(own, other, folds=folds)[chosen],
            }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def agreement(
    load: Load, groups: Groups, seeds: Sequence[int], tables: dict[int, pd.DataFrame], folds: int
) -> pd.DataFrame:
    """Return how far Delta and its top 1 % agree between seeds; one row per ordered pair of seeds and way.

    way `targets`: the same features of M, with G and H under another seed. way `source`: M, G and H under another seed,
    every feature of M compared with its partner, the feature of the other seed that it correlates with most. Columns:
    source, way, seed, other_seed, spearman (of cross-fitted Delta over live features), overlap (share of the top 1 %
    that is in the top 1 % under the other seed), overlap_5 (that is in its top 5 %), rho (mean correlation of the top
    1 % with their partners; 1 for `targets`). By chance overlap is 0.01 and overlap_5 0.05.
    """
    rows = []
    for one, other in permutations(seeds, 2):
        own, again = load(groups.source, one)[1], load(groups.source, other)[1]
        shared, absent = ([load(name, other)[1] for name in part] for part in (groups.shared_with, groups.absent_from))
        moved = crossfitted_sharedness(own, shared, absent, folds=folds).delta
        delta, itself = tables[one].delta.to_numpy(), np.arange(own.n_latents)
        match = max_correlation(own, again)
        for way, found in (
            ("targets", matched(delta, moved, itself, np.ones(len(delta)))),
            ("source", matched(delta, tables[other].delta.to_numpy(), match.source_match, match.source)),
        ):
            rows.append({"source": groups.source, "way": way, "seed": one, "other_seed": other, **found})
    return pd.DataFrame(
        rows, columns=["source", "way", "seed", "other_seed", "spearman", "overlap", "overlap_5", "rho"]
    )


def matched(
    delta: NDArray[np.float64], there: NDArray[np.float64], match: NDArray[np.int64], rho: NDArray[np.float64]
) -> dict[str, float]:
    """Return how far one Delta (m,) and another (n,) agree on features and their partners, `match` and `rho` (m,).

    spearman over features that have a partner, overlap and overlap_5 (share of the top 1 % whose partners are in the
    other's top 1 %, top 5 %), rho (mean correlation of the top 1 % with their partners).
    """
    live, best = match >= 0, top(delta)
    hits = {share: np.isin(match[best], top(there, share)).mean() for share in (TOP, 5 * TOP)}
    return {
        "spearman": spearman(delta[live], there[match[live]]), "overlap": float(hits[TOP]),
        "overlap_5": float(hits[5 * TOP]), "rho": float(rho[best].mean()),
    }  # fmt: skip


def ranks(score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the place of each entry by falling score, from 0; ties: lowest first."""
    found = np.empty(len(score), np.int64)
    found[np.argsort(-score, kind="stable")] = np.arange(len(score))
    return found


def count(features: Features) -> int:
    """Return how many features are the top 1 %."""
    return max(round(TOP * features.n_latents), 1)
