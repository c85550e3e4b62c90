"""What a sweep over k and expansion says: the table of cells, which of them suffice, and the cheapest of those.

The rule. Among the cells in which no encoder failed:

1. A cell *explains* enough if its mean explained variance (1 - FVU) is at least `EXPLAINS` of the best cell's: FVU
   falls with every further active latent, so the best FVU alone would always choose the largest k.
2. The reference is, among those, the cell whose seeds agree most (the highest self-value).
3. A cell *agrees* if its self-value is at most `TOLERANCE` below the reference's, or the 95 % interval of the
   difference (the same groups of samples resampled for both) reaches 0.
4. A cell that explains and agrees suffices. The cheapest is recommended: the smallest expansion, as a training step
   costs in proportion to the dictionary, then the smallest k.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EXPLAINS = 0.9
"""Share of the best cell's explained variance."""
TOLERANCE = 0.02
"""Difference of self-values that changes no conclusion; two pairs of seeds of one setting differ by as much or more
(docs/numbers.md: 0.69 and 0.64)."""
USUAL = (32, 8)
"""k and expansion of the paper, of which a sweep says whether they suffice."""


class Cell(NamedTuple):
    """One setting of the sweep."""

    k: int
    expansion: int

    def __str__(self) -> str:
        """Name it as the tables do."""
        return f"k={self.k}, expansion={self.expansion}"


class Values(NamedTuple):
    """Resampled means over encoders, (R,); draw r uses the same groups of samples in every cell."""

    own: NDArray[np.float64]
    """Of the self-values: cross-fitted, between seeds of one encoder."""
    cross: NDArray[np.float64]
    """Of the cross-values: cross-fitted, between different encoders; empty with one encoder."""


def cell_table(encoders: pd.DataFrame, values: Mapping[Cell, Values], n_encoders: int) -> pd.DataFrame:
    """Return one row per cell, in the order of `values`.

    Args:
        encoders: one row per cell and encoder: k, expansion, encoder, the quality figures, self, cross, signatures.
        values: of each cell.
        n_encoders: how many there should be in a cell; one with fewer is incomplete and takes no part in the choice.

    Returns:
        k, expansion, encoders, complete, means over encoders (fvu, pca_fvu, explained_variance, dead, rare, l0, self,
        floor, cross), intervals (self_low, self_high, cross_low, cross_high), and what the rule makes of them:
        explains, self_gap (to the reference) with gap_low and gap_high, agrees, suffices.
    """
    means = ["fvu", "pca_fvu", "explained_variance", "dead", "rare", "l0", "self", "floor", "cross"]
    rows = []
    for cell, drawn in values.items():
        part = encoders[(encoders.k == cell.k) & (encoders.expansion == cell.expansion)]
        self_low, self_high = _interval(drawn.own)
        cross_low, cross_high = _interval(drawn.cross)
        rows.append({
            **cell._asdict(), "encoders": len(part), "complete": len(part) == n_encoders,
            **{name: float(part[name].mean()) for name in means},
            "self_low": self_low, "self_high": self_high, "cross_low": cross_low, "cross_high": cross_high,
        })  # fmt: skip
    table = pd.DataFrame(rows)
    explained = table.explained_variance.where(table.complete)
    best = float(explained.max())
    table["explains"] = (explained >= EXPLAINS * best) & (best > 0)
    reference = table["self"].where(table.explains).idxmax() if table.explains.any() else None
    gaps = [_gap(values, cell, reference, table) for cell in values]
    table[["self_gap", "gap_low", "gap_high"]] = pd.DataFrame(gaps, index=table.index)
    table["agrees"] = (table.self_gap <= TOLERANCE) | (table.gap_low <= 0)
    table["suffices"] = table.explains & table.agrees
    return table


def recommended(table: pd.DataFrame) -> Cell | None:
    """Return the cheapest cell that suffices; None where no dictionary explains anything."""
    enough = table[table.suffices].sort_values(["expansion", "k"])
    return Cell(int(enough.k.iloc[0]), int(enough.expansion.iloc[0])) if len(enough) else None


def sentences(table: pd.DataFrame) -> list[str]:
    """Return what is recommended and why, and whether the paper's k and expansion suffice."""
    chosen = recommended(table)
    if chosen is None:
        return [
            "No recommendation: in no complete cell do the dictionaries reconstruct better than the mean. Train "
            "longer, raise learning_rate or start b_dec at the mean (training: b_dec=mean)."
        ]
    row = _row(table, chosen)
    lines = [
        f"Recommended: {chosen}, the cheapest of {int(table.suffices.sum())} sufficient cells (of {len(table)}): it "
        f"explains {row.explained_variance:.1%} of the variance (best {table.explained_variance.max():.1%}; at least "
        f"{EXPLAINS:.0%} of that counts as enough), and its seeds agree on {row['self']:.3f} "
        f"[{row.self_low:.3f}, {row.self_high:.3f}], {row.self_gap:.3f} below the most among such cells."
    ]
    usual = Cell(*USUAL)
    if not ((table.k == usual.k) & (table.expansion == usual.expansion)).any():
        return [*lines, f"{usual} (the paper's) is not among the cells."]
    row = _row(table, usual)
    if not row.complete:
        return [*lines, f"{usual} (the paper's) is incomplete: an encoder failed there."]
    if row.suffices:
        return [*lines, f"{usual} (the paper's) suffices."]
    lacks = []
    if not row.explains:
        lacks.append(f"it explains {row.explained_variance:.1%} of the variance, too little beside the best cell")
    if not row.agrees:
        lacks.append(
            f"its seeds agree on {row.self_gap:.3f} less [{row.gap_low:.3f}, {row.gap_high:.3f}] than the best"
        )
    return [*lines, f"{usual} (the paper's) does not suffice: {' and '.join(lacks)}."]


def _row(table: pd.DataFrame, cell: Cell) -> pd.Series:
    return table[(table.k == cell.k) & (table.expansion == cell.expansion)].iloc[0]


def _gap(
    values: Mapping[Cell, Values], cell: Cell, reference: object, table: pd.DataFrame
) -> tuple[float, float, float]:
    """Return how far the self-value lies below the reference's, with the interval of the difference."""
    if reference is None:
        return np.nan, np.nan, np.nan
    best = table.loc[reference]  # type: ignore[call-overload]
    drawn = values[Cell(int(best.k), int(best.expansion))].own - values[cell].own
    return (float(best["self"] - _row(table, cell)["self"]), *_interval(drawn))


def _interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    if not len(drawn) or np.isnan(drawn).all():
        return np.nan, np.nan
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)
