"""Rankings under every pair of seeds, the top features of every seed, and the variance of a cell."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.jobs.experiment import Material
from benchmark.jobs.kinds_beside import PRESETS, kinds_beside, preset_of
from benchmark.jobs.matrix import FOLD_SEED, RESAMPLES
from benchmark.jobs.memory import memory_budget
from benchmark.jobs.sides import Side, loaded_pairs
from benchmark.metrics import (
    Components,
    components,
    crossfit_both,
    held_out_rho_both,
    max_correlation,
    rank_agreement,
    squares_apart,
    top_agreement,
)

COMPONENTS = {
    "encoders": "between pairs of encoders", "source_seed": "seed of the source", "target_seed": "seed of the target",
    "pairing": "pair of seeds beyond both", "sample": "samples",
}  # fmt: skip
"""Component of a cell's variance -> what it is of."""
SHOWN_SEEDS = (1, 2, 3, 5, 10, 20)
"""Numbers of seeds for which the smallest difference that can be trusted is given."""


class Board(NamedTuple):
    """Cross-fitted wMPPC (last layers) between all encoders under crossed seeds."""

    cells: list[tuple[str, str]]
    """Source and target."""
    values: NDArray[np.float64]
    """(C, S, S): cell, seed of the source, seed of the target."""
    draws: NDArray[np.float64]
    """(C, S, S, R): resampled values."""
    rho: dict[Side, dict[str, NDArray[np.float64]]]
    """(source, seed) -> target -> (m,) held-out correlation of each feature with the target of the same seed."""
    seeds: tuple[int, ...]


def board(material: Material) -> Board:
    """Compare all encoders (their last layers) under every seed of one and every seed of the other."""
    suite = material.plan.suite
    sides = {side: recorded.only(max(recorded.features)) for side, recorded in material.sides.items()}
    seeds, names = suite.seeds, list(material.encoders)
    pairs = [((a, s), (b, t)) for a, b in itertools.combinations(names, 2) for s in seeds for t in seeds]
    cells = [(a, b) for a in names for b in names if a != b]
    at = {cell: i for i, cell in enumerate(cells)}
    index = {seed: i for i, seed in enumerate(seeds)}
    values = np.full((len(cells), len(seeds), len(seeds)), np.nan)
    draws = np.full((*values.shape, RESAMPLES), np.nan)
    rho: dict[Side, dict[str, NDArray[np.float64]]] = {(name, seed): {} for name in names for seed in seeds}
    how = {"min_count": suite.min_count, "budget": memory_budget("cpu")}
    with tqdm(total=len(pairs), desc="leaderboards", unit="pair", mininterval=0.5) as bar:
        for a, b, left, right in loaded_pairs(pairs, sides, material.compared, **how):
            (own,), (other,) = left.values(), right.values()
            there, back = crossfit_both(own, other, folds=suite.folds, seed=FOLD_SEED, resamples=RESAMPLES)
            for fit, source, target in ((there, a, b), (back, b, a)):
                place = at[source[0], target[0]], index[source[1]], index[target[1]]
                values[place], draws[place] = fit.value, fit.draws
            if a[1] == b[1]:
                rho[a][b[0]], rho[b][a[0]] = held_out_rho_both(own, other, folds=suite.folds, seed=FOLD_SEED)
            bar.update()
    return Board(cells, values, draws, rho, seeds)


def cell_ranks(found: Board) -> pd.DataFrame:
    """Return one row per cell, best first: source, target, crossfit (mean over all pairs of seeds), seed_N and rank_N.

    seed_N is the value with seed N on both sides, and rank_N its rank, 1 the highest.
    """
    table = pd.DataFrame(found.cells, columns=["source", "target"])
    table["crossfit"] = found.values.mean((1, 2))
    for i, seed in enumerate(found.seeds):
        table[f"seed_{seed}"] = found.values[:, i, i]
        table[f"rank_{seed}"] = (-found.values[:, i, i]).argsort(kind="stable").argsort() + 1
    return table.sort_values("crossfit", ascending=False, ignore_index=True)


def agreement_of_ranks(found: Board, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Return how alike the rankings of the seeds are, each with the same seed on both sides.

    One row per ranking: `cells`, and those of encoders by columns of the leaderboard of `compare` (share, found, and
    share_KIND: the mean cross-fitted value from an encoder to all others, from all others to it, to those of a kind);
    entries, tau (Kendall's, mean over pairs of seeds) with low and high, and same_order (share of the pairs of entries
    in the same order under every seed). A ranking of a single entry has no row.
    """
    names = list(dict.fromkeys(source for source, _ in found.cells))
    ends = list(enumerate(found.cells))
    rankings = {
        "cells": [[i] for i, _ in ends],
        "share": [[i for i, (a, _) in ends if a == name] for name in names],
        "found": [[i for i, (_, b) in ends if b == name] for name in names],
        **{f"share_{kind}": [[i for i, (a, b) in ends if a == name and kinds[b] == kind] for name in names]
           for kind in PRESETS},
    }  # fmt: skip
    same, rows = np.arange(len(found.seeds)), []
    values, draws = found.values[:, same, same], found.draws[:, same, same]
    for ranking, entries in rankings.items():
        chosen = [entry for entry in entries if entry]
        if len(chosen) < 2:
            continue
        of_seeds, drawn = (np.stack([part[entry].mean(0) for entry in chosen], axis=1) for part in (values, draws))
        agreed = rank_agreement(of_seeds, drawn)
        rows.append({"ranking": ranking, "entries": len(chosen), "tau": agreed.mean, "low": agreed.low,
                     "high": agreed.high, "same_order": agreed.same_order})  # fmt: skip
    return pd.DataFrame(rows)


def variance(found: Board) -> tuple[Components, pd.DataFrame, pd.DataFrame]:
    """Return the components of a cell's variance, as a table too, and the smallest difference by number of seeds.

    The first table has one row per component: variance, sd and share of the total; and for the two of seeds one more
    per encoder (its cells alone). The second has one row per number of seeds: sd_of_a_cell, smallest_difference, and
    low and high, its 95 % interval by leaving out one seed of all encoders at a time (the jackknife, on the log scale;
    NaN below 3 seeds): an unlucky seed moves it far.
    """
    parts = _components(found, range(len(found.seeds)))
    rows = [
        {"component": name, "encoder": "", "what": what, "variance": getattr(parts, name),
         "share": getattr(parts, name) / parts.total if parts.total else np.nan}
        for name, what in COMPONENTS.items()
    ]  # fmt: skip
    for encoder in dict.fromkeys(source for source, _ in found.cells):
        for way, name in enumerate(("source_seed", "target_seed")):
            own = [i for i, cell in enumerate(found.cells) if cell[way] == encoder]
            of_encoder = components(list(found.values[own]), [0.0] * len(own))
            rows.append({"component": name, "encoder": encoder, "what": f"{COMPONENTS[name]}, {encoder}",
                         "variance": getattr(of_encoder, name), "share": np.nan})  # fmt: skip
    table = pd.DataFrame(rows)
    table.insert(4, "sd", table.variance**0.5)
    n = len(found.seeds)
    without = [_components(found, [i for i in range(n) if i != left]) for left in range(n)] if n > 2 else []
    smallest = []
    for seeds in SHOWN_SEEDS:
        value = parts.smallest_difference(seeds)
        low, high = _jackknifed(value, [some.smallest_difference(seeds) for some in without])
        smallest.append({"seeds": seeds, "sd_of_a_cell": parts.noise(seeds) ** 0.5, "smallest_difference": value,
                         "low": low, "high": high})  # fmt: skip
    return parts, table, pd.DataFrame(smallest)


def _components(found: Board, seeds: Sequence[int]) -> Components:
    """Return the components under some of the seeds."""
    values, draws = (part[:, seeds][:, :, seeds] for part in (found.values, found.draws))
    return components(list(values), draws.mean((1, 2)).var(-1, ddof=1).tolist())


def _jackknifed(value: float, without: Sequence[float]) -> tuple[float, float]:
    """Return a 95 % interval of a positive value, given its values without each seed."""
    from scipy.stats import t

    if not without or min(value, *without) <= 0:
        return np.nan, np.nan
    error = float(np.sqrt((len(without) - 1) * np.var(np.log(without))))
    factor = float(np.exp(t.ppf(0.975, len(without) - 1) * error))
    return value / factor, value * factor


def top_lists(material: Material, found: Board) -> pd.DataFrame:
    """Return how far the top 1 % of sharedness of every encoder agree between seeds.

    One row per encoder and ordered pair of seeds: shared_with and absent_from (kinds, by `kinds_beside`),
    positive_delta (share of the live features of the first seed), share of its top features whose best correlated
    partner is on the other seed's list, by_chance (given S), p_value, and correlation (Spearman's, of Delta with that
    of the partners). Delta is of held-out correlations. An encoder without both kinds beside it has no rows.
    """
    cards, rows = material.encoders, []
    chosen = kinds_beside(cards, list(cards))
    for name, (with_, without) in tqdm(chosen.items(), desc="top features", unit="encoder", mininterval=0.5):
        features = {seed: material.load_layer(name, seed) for seed in found.seeds}
        difference = {
            seed: squares_apart(*([found.rho[name, seed][other] for other in group] for group in (with_, without)))
            for seed in found.seeds
        }
        for s, t in itertools.permutations(found.seeds, 2):
            partner = max_correlation(features[s], features[t]).source_match
            agreed = top_agreement(
                (difference[s], difference[t]), (features[s].weights, features[t].weights), partner, seed=s
            )
            positive = float((difference[s] > 0)[features[s].weights > 0].mean())
            rows.append({"encoder": name, **preset_of(cards[name]), "source_seed": s, "target_seed": t,
                         "positive_delta": positive, **agreed._asdict()})  # fmt: skip
    return pd.DataFrame(rows)
