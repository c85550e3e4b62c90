"""Comparative Sharedness of any encoders of a comparison, from the partners that it recorded."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.metrics import counts_between, sharedness_baseline, split_histogram

TOP = 0.01
"""Share of the live features that count as distinguishing, as in the paper."""
BARS = 60
"""The histogram has about so many."""


class Sharedness(NamedTuple):
    """Features of M that encoders G share and encoders H lack."""

    features: pd.DataFrame
    """One row per live feature, the highest Delta first: layer, feature, S_share (its part of M's activation),
    rho_shared (the lowest over G), rho_absent (the highest over H), difference (of their squares), delta (S_share times
    the difference), p_split (share of all splits of the encoders into groups of these sizes with a Delta as high) and
    top (among the top 1 %). rho are held-out correlations, those below 0 counted as 0."""
    histogram: pd.DataFrame
    """Columns low, high, features (whose difference lies above low, up to high), and chance, the mean number of
    features there over all splits of the encoders into groups of these sizes."""
    positive: float
    """Share of the features with a Delta above 0."""
    positive_by_chance: float
    """The same in the mean over all such splits."""
    mean: float
    """The mean difference, weighted by S_share."""
    mean_by_chance: float
    """The same in the mean over all such splits."""
    splits: int
    """Number of such splits."""
    reached: int
    """Number of such splits, this one among them, that give at least as large a share of the features a Delta above 0.
    """


def sharedness(partners: Mapping[str, pd.DataFrame], shared: Sequence[str], absent: Sequence[str]) -> Sharedness:
    """Return the Comparative Sharedness of M's deepest layer (arXiv 2507.18512, section 3), cross-fitted.

    `partners` are the tables of `registry.feature_partners` of M in every encoder of G (`shared`) and H (`absent`).
    Raises ValueError where a group is empty, the groups overlap, or no feature has partners in all of them.
    """
    if not shared or not absent:
        raise ValueError("choose at least one encoder that shares the features and one that lacks them.")
    if both := set(shared) & set(absent):
        raise ValueError(f"{', '.join(sorted(both))} cannot both share the features and lack them.")
    found = None
    for name in (*shared, *absent):
        part = partners[name]
        part = part[part.layer == part.layer.max()].set_index(["layer", "feature"])
        rho = part.held_out_rho.clip(lower=0).rename(name)
        found = part[["S"]].join(rho) if found is None else found.join(rho, how="inner")
    assert found is not None
    if found.empty:
        raise ValueError("no feature has partners in all these encoders.")
    with_, without = (found[list(group)].to_numpy(float).T for group in (shared, absent))
    difference = with_.min(0) ** 2 - without.max(0) ** 2
    baseline = sharedness_baseline(with_, without)
    weight = found.S.to_numpy(float) / found.S.sum()
    table = found.reset_index()[["layer", "feature"]].assign(
        S_share=weight, rho_shared=with_.min(0), rho_absent=without.max(0), difference=difference,
        delta=weight * difference, p_split=baseline.p_value,
    )  # fmt: skip
    table = table.sort_values(["delta", "layer", "feature"], ascending=[False, True, True], ignore_index=True)
    table["top"] = np.arange(len(table)) < max(round(TOP * len(table)), 1)
    return Sharedness(
        table, _histogram(with_, without), baseline.positive, baseline.positive_by_chance, float(weight @ difference),
        float(weight @ baseline.expected), baseline.splits, round(baseline.positive_p * baseline.splits),
    )  # fmt: skip


def _histogram(shared: NDArray[np.float64], absent: NDArray[np.float64]) -> pd.DataFrame:
    """Return the histogram of Delta without S beside that of chance; 0 is an edge, and everything is within the edges.

    shared (|G|, m) and absent (|H|, m) are correlations that are not below 0.
    """
    ranked = np.sort(np.concatenate([shared, absent]) ** 2, axis=0)
    low = float((ranked[0] - ranked[-1]).min())
    high = float((ranked[len(absent)] - ranked[len(absent) - 1]).max())
    rough = max(high - low, 1e-6) / BARS
    unit = 10.0 ** np.floor(np.log10(rough))
    width = unit * next(step for step in (1, 2, 2.5, 5, 10) if step * unit >= 0.999 * rough)
    edges = width * np.arange(np.floor(low / width) - 1, np.ceil(high / width) + 2)
    counts = counts_between(shared.min(0) ** 2 - absent.max(0) ** 2, edges)
    chance = split_histogram(shared, absent, edges)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "features": counts, "chance": chance})


def same_question(summary: pd.DataFrame, source: str, shared: Sequence[str], absent: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a sharedness run's summary, one a seed, that ask of the same M, G and H."""
    chosen = summary[summary.source == source]
    of = (("shared_with", set(shared)), ("absent_from", set(absent)))
    for column, group in of:
        asked = [set(names.split(",")) == group for names in chosen[column]]
        chosen = chosen[pd.Series(asked, chosen.index, dtype=bool)]  # an empty list would be one of no columns
    return chosen


def groups(kinds: Mapping[str, str], source: str) -> tuple[list[str], list[str]]:
    """Return G and H as the paper chooses them for M: text encoders against vision-only ones, and the reverse for text.

    Where a class is missing, the encoders of M's own class stand in.
    """
    of = {kind: [name for name, its in kinds.items() if its == kind and name != source] for kind in ("text", "vision")}
    shared, absent = (of["vision"], of["text"]) if kinds.get(source) == "text" else (of["text"], of["vision"])
    rest = [name for name in kinds if name not in (source, *shared, *absent)]
    return shared or rest, absent or [name for name in rest if shared]
