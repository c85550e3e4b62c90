"""The matrix of a comparison: every pair of encoders and seeds, then every cell over its pairs of seeds."""

import itertools
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.features import SparseFeatures
from benchmark.metrics import chance_measures, crossfit_both
from benchmark.metrics.describe import MEASURES

RESAMPLES = 200
PERMUTATION_SEED = FOLD_SEED = 0

Layers = dict[int, SparseFeatures]
"""Layer -> features, shallow to deep."""


def compare_pairs(
    recorded: Mapping[tuple[str, int], Layers],
    rows: Mapping[str, NDArray[np.int64]],
    permutations: int,
    folds: int,
) -> tuple[pd.DataFrame, dict[tuple, NDArray[np.float64]]]:
    """Compare all pairs of (encoder, seed), both ways.

    Args:
        recorded: features of each (encoder, seed), all over the same samples.
        rows: name of a sample set -> its samples.
        permutations, folds: see `benchmark.metrics.chance` and `crossfit`.

    Returns:
        The long table (one row per source, target, seeds, aggregate and sample set; an encoder is compared with
        itself only across seeds), and the resampled cross-fitted values (R,) of each of its rows.
    """
    pairs = list(itertools.combinations(recorded, 2))
    several = any(len(layers) > 1 for layers in recorded.values())
    table: list[dict[str, Any]] = []
    draws: dict[tuple, NDArray[np.float64]] = {}
    with tqdm(total=len(pairs) * len(rows), desc="compare", unit="pair", mininterval=0.5) as bar:
        for name, chosen in rows.items():
            taken = {key: {i: f.take(chosen) for i, f in layers.items()} for key, layers in recorded.items()}
            for a, b in pairs:
                for aggregate, left, right in _aggregates(taken[a], taken[b], several):
                    sides = list(left.values()), list(right.values())
                    nulls = chance_measures(*sides, permutations=permutations, seed=PERMUTATION_SEED)
                    fits = crossfit_both(*sides, folds=folds, seed=FOLD_SEED, resamples=RESAMPLES)
                    ways = ((a, b, left, right), (b, a, right, left))
                    for (source, target, own, other), null, plain, fit in zip(
                        ways, nulls["wmppc"], nulls["mppc"], fits, strict=True
                    ):
                        table.append({
                            "source": source[0], "target": target[0],
                            "source_layer": _label(own), "target_layer": _label(other),
                            "source_seed": source[1], "target_seed": target[1],
                            "aggregate": aggregate, "codes": "topk", "recorded_on": name, "n_samples": len(chosen),
                            "naive": null.naive, "chance": _mean(null.null),
                            "calibrated": null.calibrated, "p_value": null.p_value,
                            "crossfit": fit.value, "low": fit.low, "high": fit.high,
                            "mppc": plain.naive, "mppc_chance": _mean(plain.null),
                        })  # fmt: skip
                        draws[name, aggregate, source, target] = fit.draws
                bar.update()
    return pd.DataFrame(table), draws


def _aggregates(a: Layers, b: Layers, several: bool) -> list[tuple[str, Layers, Layers]]:
    """Return what is compared: all layers (if any encoder has several), and the deepest ones."""
    last = ("last", {max(a): a[max(a)]}, {max(b): b[max(b)]})
    return [("layer_mean", a, b), last] if several else [last]


def _mean(null: NDArray[np.float64]) -> float:
    return float(null.mean()) if len(null) else float("nan")


def _label(layers: Layers) -> str:
    return ",".join(map(str, layers))


def cells(table: pd.DataFrame, draws: Mapping[tuple, NDArray[np.float64]], seed: int = 0) -> pd.DataFrame:
    """Return the mean over pairs of seeds of each source, target, aggregate and sample set, with its interval.

    The 95 % interval (low, high) of the cross-fitted value resamples groups of samples (the same ones for all pairs)
    and seeds of both sides with replacement; on the diagonal a pair always has two different seeds.
    """
    rng = np.random.default_rng(seed)
    out = []
    for key, part in table.groupby(["recorded_on", "aggregate", "source", "target"], sort=False):
        name, aggregate, source, target = cast(tuple[str, str, str, str], key)
        drawn = {
            (s, t): draws[name, aggregate, (source, s), (target, t)]
            for s, t in zip(part.source_seed, part.target_seed, strict=True)
        }
        low, high = np.nanquantile(_resampled(drawn, rng, own=source == target), [0.025, 0.975])
        out.append({
            "source": source, "target": target, "aggregate": aggregate, "recorded_on": name,
            "n_samples": int(part.n_samples.iloc[0]), "seed_pairs": len(part),
            **{measure: part[measure].mean() for measure in MEASURES}, "low": low, "high": high,
            "mppc": part.mppc.mean(), "mppc_chance": part.mppc_chance.mean(),
        })  # fmt: skip
    return pd.DataFrame(out)


def _resampled(
    drawn: Mapping[tuple[int, int], NDArray[np.float64]], rng: np.random.Generator, *, own: bool
) -> NDArray[np.float64]:
    """Return one cell mean per draw of groups, over seeds drawn with replacement."""
    sources, targets = sorted({s for s, _ in drawn}), sorted({t for _, t in drawn})
    values = np.empty(RESAMPLES)
    for r in range(RESAMPLES):
        picked: list[float] = []
        while not picked:  # on the diagonal all drawn seeds may be one
            left = rng.choice(sources, len(sources))
            right = left if own else rng.choice(targets, len(targets))
            picked = [drawn[int(s), int(t)][r] for s in left for t in right if (int(s), int(t)) in drawn]
        values[r] = np.mean(picked)
    return values


def wide(cell_table: pd.DataFrame, measure: str, order: list[str]) -> pd.DataFrame:
    """Return one measure of one aggregate and sample set as a matrix, sources in rows; absent cells are NaN."""
    return cell_table.pivot(index="source", columns="target", values=measure).reindex(index=order, columns=order)
