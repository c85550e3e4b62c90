"""What a drift run found, as the page on datasets shows it. `changes` is the run's table of that name."""

from collections.abc import Sequence

import pandas as pd

MOVED, NOISE, UNTESTED, FIXED = "moved", "within noise", "not tested", "cannot change"
SUMMARY: dict[str, tuple[str, str]] = {
    "moved": ("Moved", "Cells that changed beyond what other seeds and samples do: q up to 0.05 over all tests."),
    "tested": ("Tested", "Cells that can change and whose noise is known; diagonal cells need three seeds."),
    "mean_change": ("Mean change", "Of the cross-fitted wMPPC, over the cells that can change, with its sign."),
    "mean_size": ("Mean size", "The same without signs: about the error where nothing changes."),
    "error": ("Error", "The mean standard error of a change: seeds and samples."),
    "n_common": ("Same samples", "Compared samples that are in the plain data too."),
}
"""Columns of `summary` and what they say."""
CHANGE: dict[str, tuple[str, str]] = {
    "plain": ("Plain", "The value on the plain data, a mean over pairs of seeds."),
    "value": ("Variant", "The value on the variant."),
    "change": ("Change", "Variant minus plain."),
    "low": ("Low", "The lower end of the 95 % interval of the change."),
    "high": ("High", "The upper end of the 95 % interval of the change."),
    "error": ("Error", "The standard error of the change: seeds and samples."),
    "p_value": ("p", "Of the null that only seeds and samples differ."),
    "q_value": ("q", "The p-value after Benjamini and Hochberg's correction for all tests of the table."),
}
"""Numeric columns of the tables `changes` and `delta`."""
SAME: dict[str, tuple[str, str]] = {
    "value": ("Found again", "Cross-fitted wMPPC from the plain data's features to the variant's."),
    "back": ("Back", "Cross-fitted wMPPC from the variant's features to the plain data's."),
    "low": ("Low", "2.5 % point over resampled groups of samples."),
    "high": ("High", "97.5 % point over resampled groups of samples."),
    "chance": ("Chance level", "Of the naive value."),
}
"""Numeric columns of the table `correspondence`."""
AGREEMENT: dict[str, tuple[str, str]] = {
    "spearman": ("Rank correlation", "Of Delta between features of the plain data and their partners on the variant."),
    "overlap": ("Top 1 % kept", "Share of the top 1 % whose partner is in the variant's top 1 %."),
    "overlap_5": ("Top 1 % in top 5 %", "Share of the top 1 % whose partner is in the variant's top 5 %."),
    "rho": ("rho of the top", "Mean correlation of the top 1 % with their partners."),
}
"""Numeric columns of the table `delta_features`."""


def told(changes: pd.DataFrame) -> pd.DataFrame:
    """Return the changes with `cell` ("a → b") and `outcome`: moved, within noise, not tested or cannot change."""
    outcome = pd.Series(NOISE, changes.index)
    outcome = outcome.mask(changes["p_value"].isna(), UNTESTED).mask(changes["moved"].astype(bool), MOVED)
    return changes.assign(
        cell=changes["source"] + " → " + changes["target"], outcome=outcome.mask(changes["fixed"].astype(bool), FIXED)
    )


def summary(changes: pd.DataFrame, variants: Sequence[str]) -> pd.DataFrame:
    """Return one row a variant with the columns of `SUMMARY`."""
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
