"""What a drift run found, as the page on datasets shows it. `changes` is the run's table of that name."""

from collections.abc import Sequence

import pandas as pd

MOVED, NOISE, UNTESTED, FIXED = "moved", "within noise", "not tested", "cannot change"


def told(changes: pd.DataFrame) -> pd.DataFrame:
    """Return the changes with `cell` ("a → b") and `outcome`: moved, within noise, not tested or cannot change."""
    outcome = pd.Series(NOISE, changes.index)
    outcome = outcome.mask(changes["p_value"].isna(), UNTESTED).mask(changes["moved"].astype(bool), MOVED)
    return changes.assign(
        cell=changes["source"] + " → " + changes["target"], outcome=outcome.mask(changes["fixed"].astype(bool), FIXED)
    )


def largest(told: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return so many cells: those that moved first, the largest change first; all in their order if there are no more.

    `told` holds rows of `told` of one variant.
    """
    if len(told) <= count:
        return told
    keys = told.assign(size=told["change"].abs(), first=told["outcome"] == MOVED)
    return told.loc[keys.sort_values(["first", "size"], ascending=False, kind="stable").index[:count]]


def summary(changes: pd.DataFrame, variants: Sequence[str]) -> pd.DataFrame:
    """Return one row a variant with the columns of `benchmark.metrics.describe.drift.SUMMARY`."""
    rows = []
    for variant in variants:
        part = changes[changes["variant"] == variant]
        free = part[~part["fixed"].astype(bool)]
        rows.append({
            "variant": variant, "moved": int(part["moved"].sum()), "tested": int(part["p_value"].notna().sum()),
            "mean_change": free["change"].mean(), "mean_size": free["change"].abs().mean(),
            "error": free["error"].mean(), "n_common": int(part["n_common"].iloc[0]),
        })  # fmt: skip
    return pd.DataFrame(rows)
