"""The matrix of a comparison: every pair of encoders and seeds, then every cell over its pairs of seeds."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.catalog import SuiteCard
from benchmark.features import DenseFeatures
from benchmark.jobs.sides import Layers, Recorded, Side, loaded_pairs
from benchmark.metrics import chance_measures, crossfit_both
from benchmark.metrics.describe import EXTRAS, MEASURES
from benchmark.metrics.groups import shared_groups
from benchmark.metrics.paper_code import paper_wmppc

RESAMPLES = 200
PERMUTATION_SEED = FOLD_SEED = 0

Row = dict[str, Any]
Draws = NDArray[np.float64]
"""(R,) resampled cross-fitted values."""


def compare_pairs(
    suite: SuiteCard,
    recorded: Mapping[Side, Recorded],
    rows: Mapping[str, NDArray[np.int64]],
    *,
    untrained: Mapping[Side, Recorded] | None = None,
    budget: int,
    between: frozenset[str] = frozenset(),
    several: bool | None = None,
) -> tuple[pd.DataFrame, dict[tuple, Draws]]:
    """Compare all pairs of (encoder, seed), both ways.

    Args:
        suite: says how: permutations, folds, min_count, paper_code.
        recorded: features of each (encoder, seed), all over the same samples.
        rows: name of a sample set -> its samples.
        untrained: the same features of SAEs before training, of which the floor is taken.
        budget: bytes of features that may be in memory at a time, see `loaded_pairs`.
        between: two encoders (or one) whose pairs alone are compared; empty: all.
        several: compare all layers beside the last ones; None: if any side has several.

    Returns:
        The long table (one row per source, target, seeds, aggregate and sample set; an encoder is compared with
        itself only across seeds), and the resampled cross-fitted values of each of its rows.
    """
    pairs, floor_pairs = (
        [pair for pair in found if not between or {pair[0][0], pair[1][0]} == between]
        for found in (list(itertools.combinations(recorded, 2)), _floor_pairs(untrained or {}))
    )
    if several is None:
        several = any(len(side.features) > 1 for side in recorded.values())
    table: list[Row] = []
    draws: dict[tuple, Draws] = {}
    total = (len(pairs) + len(floor_pairs)) * len(rows)
    with tqdm(total=total, desc="compare", unit="pair", mininterval=0.5) as bar:
        for name, chosen in rows.items():
            how: dict[str, Any] = {"min_count": suite.min_count, "budget": budget}
            floors: dict[tuple[str, str, str], list[Row]] = {}
            for a, b, left, right in loaded_pairs(floor_pairs, untrained or {}, chosen, **how):
                for aggregate, own, other in _aggregates(left, right, several):
                    for source, target, row in _floor(suite, (a, own), (b, other)):
                        floors.setdefault((aggregate, source[0], target[0]), []).append(row)
                bar.update()
            found: dict[tuple[Side, Side], list[Row]] = {}
            for a, b, left, right in loaded_pairs(pairs, recorded, chosen, **how):
                found[a, b] = []
                for aggregate, own, other in _aggregates(left, right, several):
                    groups = shared_groups(list(own.values()), list(other.values()))
                    what = {
                        "aggregate": aggregate, "codes": _codes(own), "recorded_on": name, "n_samples": len(chosen),
                        "n_groups": int(groups.max()) + 1,
                    }  # fmt: skip
                    for source, target, row, drawn in _both_ways(suite, recorded, what, (a, own), (b, other)):
                        draws[name, aggregate, source, target] = drawn
                        found[a, b].append(row | _joined(floors.get((aggregate, source[0], target[0]), [])))
                bar.update()
            table += [row for pair in pairs for row in found[pair]]  # which were not compared in this order
    return pd.DataFrame(table), draws


def _both_ways(
    suite: SuiteCard, recorded: Mapping[Side, Recorded], what: Row, a: tuple[Side, Layers], b: tuple[Side, Layers]
) -> Iterator[tuple[Side, Side, Row, Draws]]:
    """Yield source, target, row of the table and resampled values of both directions between two sides."""
    sides = list(a[1].values()), list(b[1].values())
    nulls = chance_measures(*sides, permutations=suite.permutations, seed=PERMUTATION_SEED)
    fits = crossfit_both(*sides, folds=suite.folds, seed=FOLD_SEED, resamples=RESAMPLES)
    # Correlations do not depend on the scale of a feature, its weight does.
    free = list(recorded[a[0]].scaled(a[1]).values()), list(recorded[b[0]].scaled(b[1]).values())
    free_nulls = chance_measures(*free, permutations=0)["wmppc"]
    free_fits = crossfit_both(*free, folds=suite.folds, seed=FOLD_SEED, resamples=0)
    for (source, own), (target, other), null, plain, fit, free_null, free_fit in zip(
        (a, b), (b, a), nulls["wmppc"], nulls["mppc"], fits, free_nulls, free_fits, strict=True
    ):
        row = {
            "source": source[0], "target": target[0],
            "source_layer": _label(own), "target_layer": _label(other),
            "source_seed": source[1], "target_seed": target[1], **what,
            "naive": null.naive, "chance": _mean(null.null),
            "calibrated": null.calibrated, "p_value": null.p_value,
            "crossfit": fit.value, "low": fit.low, "high": fit.high,
            "mppc": plain.naive, "mppc_chance": _mean(plain.null),
            "crossfit_scale_free": free_fit.value, "naive_scale_free": free_null.naive,
        }  # fmt: skip
        if suite.paper_code:
            row["paper_code"] = paper_wmppc(list(own.values()), list(other.values())).overall
        yield source, target, row, fit.draws


def _floor(suite: SuiteCard, a: tuple[Side, Layers], b: tuple[Side, Layers]) -> Iterator[tuple[Side, Side, Row]]:
    """Yield source, target and the values of both directions between two sides that were not trained."""
    sides = list(a[1].values()), list(b[1].values())
    naive = chance_measures(*sides, permutations=0)["wmppc"]
    fits = crossfit_both(*sides, folds=suite.folds, seed=FOLD_SEED, resamples=0)
    for source, target, plain, fit in zip((a[0], b[0]), (b[0], a[0]), naive, fits, strict=True):
        yield source, target, {"untrained": fit.value, "untrained_naive": plain.naive}


def _joined(floor: list[Row]) -> Row:
    """Return the mean of both ways between two seeds of one encoder, and the only value between two encoders."""
    return {key: float(np.mean([row[key] for row in floor])) for key in (floor[0] if floor else {})}


def _floor_pairs(untrained: Mapping[Side, Recorded]) -> list[tuple[Side, Side]]:
    """Return the pairs of each encoder's first seed, and of each one's first two seeds."""
    seeds: dict[str, list[Side]] = {}
    for side in untrained:
        seeds.setdefault(side[0], []).append(side)
    own = [(sides[0], sides[1]) for sides in seeds.values() if len(sides) > 1]
    return own + list(itertools.combinations([sides[0] for sides in seeds.values()], 2))


def _aggregates(a: Layers, b: Layers, several: bool) -> list[tuple[str, Layers, Layers]]:
    """Return what is compared: all layers (if any encoder has several), and the deepest ones."""
    last = ("last", {max(a): a[max(a)]}, {max(b): b[max(b)]})
    return [("layer_mean", a, b), last] if several else [last]


def _codes(layers: Layers) -> str:
    return "relu" if isinstance(next(iter(layers.values())), DenseFeatures) else "topk"


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
        low, high = np.nanquantile(drawn_cell(part, draws, rng), [0.025, 0.975])
        out.append({
            "source": source, "target": target, "aggregate": aggregate, "recorded_on": name,
            "n_samples": int(part.n_samples.iloc[0]), "n_groups": int(part.n_groups.iloc[0]), "seed_pairs": len(part),
            **{measure: part[measure].mean() for measure in MEASURES}, "low": low, "high": high,
            "mppc": part.mppc.mean(), "mppc_chance": part.mppc_chance.mean(),
            **{extra: part[extra].mean() for extra in EXTRAS if extra in part},
        })  # fmt: skip
    return pd.DataFrame(out)


def drawn_cell(part: pd.DataFrame, draws: Mapping[tuple, Draws], rng: np.random.Generator) -> Draws:
    """Return the resampled means (R,) of the cell whose rows of the long table are `part`."""
    first = part.iloc[0]
    drawn = {
        (s, t): draws[first.recorded_on, first["aggregate"], (first.source, s), (first.target, t)]
        for s, t in zip(part.source_seed, part.target_seed, strict=True)
    }
    return resampled(drawn, rng, own=first.source == first.target)


def resampled(
    drawn: Mapping[tuple[int, int], NDArray[np.float64]], rng: np.random.Generator, *, own: bool
) -> NDArray[np.float64]:
    """Return the mean (R, ...) over pairs of seeds, drawn with replacement, of draws (R, ...) of groups of each pair.

    own: both sides are one encoder, so that its seeds are drawn once.
    """
    sources, targets = sorted({s for s, _ in drawn}), sorted({t for _, t in drawn})
    values = np.empty_like(next(iter(drawn.values())))
    for r in range(len(values)):
        picked: list[NDArray[np.float64]] = []
        while not picked:  # on the diagonal all drawn seeds may be one
            left = rng.choice(sources, len(sources))
            right = left if own else rng.choice(targets, len(targets))
            picked = [drawn[int(s), int(t)][r] for s in left for t in right if (int(s), int(t)) in drawn]
        values[r] = np.mean(picked, axis=0)
    return values


def wide(cell_table: pd.DataFrame, measure: str, order: list[str]) -> pd.DataFrame:
    """Return one measure of one aggregate and sample set as a matrix, sources in rows; absent cells are NaN."""
    return cell_table.pivot(index="source", columns="target", values=measure).reindex(index=order, columns=order)
