"""The matrix of each dataset with the noise of its cells, and how two datasets' matrices differ.

The noise of a cell is that of its seeds, whose variance components are pooled over all cells of a dataset (two seeds of
one cell say nothing of their spread), and that of its own samples (`metrics.components`). Two datasets share neither
samples nor SAEs, so their noises add.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmark.jobs.compare_units import recorded
from benchmark.jobs.experiment import Material
from benchmark.jobs.matrix import cells, compare_pairs
from benchmark.jobs.memory import memory_budget
from benchmark.jobs.sides import Recorded, Side
from benchmark.metrics import Estimate, components, linear_score, mantel, sd_beyond_noise

Cell = tuple[str, str]
"""Source and target."""
Z = 1.96


class Compared(NamedTuple):
    """What a dataset says of all pairs of encoders (last layers)."""

    cells: pd.DataFrame
    """One row per source and target, the diagonal across seeds."""
    values: dict[Cell, NDArray[np.float64]]
    """Cell off the diagonal -> (S, S) cross-fitted values, seeds of the source in rows."""
    draws: dict[Cell, NDArray[np.float64]]
    """Cell off the diagonal -> (S, S, R) resampled values."""
    errors: dict[Cell, float]
    """Cell off the diagonal -> standard error of its mean over seeds, of seeds and samples."""


def compared(material: Material, rows: NDArray[np.int64], names: Sequence[str]) -> Compared:
    """Compare all encoders of a dataset on some of its samples."""
    suite, chosen = material.plan.suite, [item for item in material.trained if item.encoder.name in names]
    before = _last_layers(recorded(chosen, len(material.dataset), untrained=True)) if suite.untrained else None
    long, draws = compare_pairs(
        suite, _last_layers(recorded(chosen, len(material.dataset))), {suite.report_on[0]: rows},
        untrained=before, budget=memory_budget("cpu"),
    )  # fmt: skip
    table = cells(long, draws).drop(columns=["aggregate"])
    long = long.set_index(["source", "target", "source_seed", "target_seed"])
    values, drawn = {}, {}
    for a, b in itertools.permutations(names, 2):
        values[a, b] = np.array([[long.crossfit[a, b, s, t] for t in suite.seeds] for s in suite.seeds])
        drawn[a, b] = np.array([
            [draws[suite.report_on[0], "last", (a, s), (b, t)] for t in suite.seeds] for s in suite.seeds
        ])  # fmt: skip
    of_samples = {cell: float(found.mean((0, 1)).var(ddof=1)) for cell, found in drawn.items()}
    parts = components(list(values.values()), list(of_samples.values()))
    errors = {cell: parts._replace(sample=of_samples[cell]).noise(len(suite.seeds)) ** 0.5 for cell in values}
    for i, row in table.iterrows():
        if row.source != row.target:
            half = Z * errors[row.source, row.target]
            table.loc[i, ["low", "high"]] = row.crossfit - half, row.crossfit + half
    return Compared(table, values, drawn, errors)


def _last_layers(sides: dict[Side, Recorded]) -> dict[Side, Recorded]:
    return {side: found.only(max(found.features)) for side, found in sides.items()}


def differences(found: Mapping[str, Compared]) -> pd.DataFrame:
    """Return one row per pair of datasets and cell off the diagonal.

    Columns: first_value, second_value, difference (second minus first), error, low, high, resolved (the interval does
    not hold 0).
    """
    rows = []
    for first, second in itertools.combinations(found, 2):
        for cell in found[first].values:
            a, b = found[first].values[cell].mean(), found[second].values[cell].mean()
            error = float(np.hypot(found[first].errors[cell], found[second].errors[cell]))
            rows.append({
                "first": first, "second": second, "source": cell[0], "target": cell[1],
                "first_value": a, "second_value": b, "difference": b - a, "error": error,
                "low": b - a - Z * error, "high": b - a + Z * error, "resolved": abs(b - a) > Z * error,
            })  # fmt: skip
    return pd.DataFrame(rows)


def alignments(found: Mapping[str, Compared], crossing: Sequence[Cell]) -> pd.DataFrame:
    """Return one row per dataset, the most aligned first; NaN where no cell crosses modalities."""
    rows = []
    for dataset, item in found.items():
        table = item.cells.set_index(["source", "target"])
        ceilings = {a: table.crossfit[a, b] for a, b in table.index if a == b}
        estimate = _alignment(item, crossing)
        low, high = estimate.interval() if crossing else (np.nan, np.nan)
        chosen = table.loc[list(crossing)]
        rows.append({
            "dataset": dataset, "n_samples": int(table.n_samples.iloc[0]), "alignment": estimate.value,
            "error": estimate.error, "low": low, "high": high, "naive": chosen.naive.mean(),
            "chance": chosen.chance.mean(),
            "untrained": chosen.untrained.mean() if "untrained" in chosen else np.nan,
            "ceiling": float(np.mean(list(ceilings.values()))),
            "relative": np.mean([
                table.crossfit[a, b] / np.sqrt(max(ceilings[a] * ceilings[b], 1e-12)) for a, b in crossing
            ]) if crossing else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows).sort_values("alignment", ascending=False, ignore_index=True)


def _alignment(item: Compared, crossing: Sequence[Cell]) -> Estimate:
    """Return the mean of the cells that cross modalities."""
    if not crossing:
        return Estimate(np.nan, np.nan, np.inf)
    return linear_score({cell: item.values[cell] for cell in crossing}, item.draws)


def agreement(found: Mapping[str, Compared], crossing: Sequence[Cell], names: Sequence[str]) -> pd.DataFrame:
    """Return one row per pair of datasets; see `jobs.consistency`."""
    rows: list[dict[str, Any]] = []
    pairs = list(itertools.combinations(found, 2))
    by_cell = differences(found)
    for first, second in pairs:
        a, b = found[first], found[second]
        part = by_cell[(by_cell["first"] == first) & (by_cell["second"] == second)]
        shift = linear_score(b.values, b.draws).minus(linear_score(a.values, a.draws))
        low, high = shift.interval()
        row = {
            "first": first, "second": second, "cells": len(part), "mean_difference": shift.value, "low": low,
            "high": high, "rms": float(np.sqrt(np.mean(part.difference**2))),
            "sd_beyond_noise": sd_beyond_noise(part.difference, part.error), "resolved_cells": int(part.resolved.sum()),
            "kendall_tau": float(kendalltau(part.first_value, part.second_value).statistic),
            "between_seeds": float(np.mean([_between_seeds(item) for item in (a, b)])),
        }  # fmt: skip
        if len(names) > 2:
            row |= mantel(_mean_matrix(a, names), _mean_matrix(b, names))._asdict()
        else:
            row |= {"correlation": np.nan, "p_value": np.nan}
        gap = _alignment(b, crossing).minus(_alignment(a, crossing))
        low, high = gap.interval(1 - 0.05 / len(pairs)) if crossing else (np.nan, np.nan)
        row |= {
            "alignment_difference": gap.value, "alignment_low": low, "alignment_high": high,
            "alignment_resolved": bool(low > 0 or high < 0),
        }  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows)


def _mean_matrix(item: Compared, names: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[item.values[a, b].mean() if a != b else np.nan for b in names] for a in names])


def _between_seeds(item: Compared) -> float:
    """Return the mean correlation of the matrices of two seeds, each with the same seed on both sides."""
    tables = np.array(list(item.values.values()))
    same = np.diagonal(tables, axis1=1, axis2=2).T
    pairs = itertools.combinations(same, 2)
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])) if len(tables) > 2 else np.nan
