"""One feature: its samples, its activations, its partners in other encoders and its twins under other seeds.

Functions that read a run raise ValueError with one sentence when what they need is not there.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import registry
from benchmark.features import Features, SparseFeatures
from benchmark.metrics import max_correlation

BINS = 40
LEVELS = {
    "top": ("Strongest", "The samples that activate the feature most."),
    "q75-100": ("Top quarter", "Samples spread over the strongest quarter of its activations."),
    "q50-75": ("Second quarter", "Samples spread over the quarter above the median of its activations."),
    "q25-50": ("Third quarter", "Samples spread over the quarter below the median of its activations."),
    "q0-25": ("Lowest quarter", "Samples spread over the weakest quarter of its activations."),
}
"""Levels of activation: title and description."""


class Sample(NamedTuple):
    """A sample that activates a feature."""

    level: str
    value: float
    caption: str
    """Untrusted text, "" where there is none."""
    jpeg: bytes | None


class Comparison(NamedTuple):
    """The comparison behind a train run."""

    run_id: str
    first: dict[str, str]
    """Encoder -> train run of its first seed, whose features have recorded partners."""
    modality: dict[str, str]
    """Encoder -> image | text."""
    runs: frozenset[str]
    """All train runs that were compared."""


def samples(run_id: str, layer: int, feature: int) -> list[Sample]:
    """Return the samples of a feature by level, the strongest of each first; empty for a constant feature."""
    found = registry.feature_samples(run_id, layer, [feature])
    found = found.sort_values(["level", "rank"]).fillna({"caption": "", "image": -1})
    try:
        small = registry.thumbnails(run_id, found["image"])
    except ValueError:  # trained on captions alone
        small = {}
    return [
        Sample(str(row["level"]), float(row["value"]), str(row["caption"]), small.get(int(row["image"])))
        for row in found.to_dict("records")
    ]


def activations(features: Features, feature: int) -> NDArray[np.float32]:
    """Return the activations of a feature above 0, in the order of the samples.

    Raises ValueError when there is no such feature.
    """
    if not 0 <= feature < features.n_latents:
        raise ValueError(f"this layer has the features 0 to {features.n_latents - 1}, and no feature {feature}.")
    if isinstance(features, SparseFeatures):
        return features.values[(features.indices == feature) & (features.values > 0)]
    column = features.array[:, feature]
    return column[column > 0]


def histogram(values: NDArray[np.float32], bins: int = BINS) -> pd.DataFrame:
    """Return how many activations lie in each of equal intervals: low, high and samples. No rows for no activation."""
    if not len(values):
        return pd.DataFrame({"low": [], "high": [], "samples": []})
    counts, edges = np.histogram(values.astype(np.float64), bins, (0.0, float(values.max())))
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "samples": counts})


def quarters(values: NDArray[np.float32]) -> list[float]:
    """Return the quartiles of activations, smallest first; empty for fewer than 4."""
    return [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])] if len(values) >= 4 else []


def comparison(run_id: str, saes: pd.DataFrame, train_run: str) -> Comparison | None:
    """Return what a compare run with this table of SAEs says of a train run, None if it did not compare it."""
    if train_run not in set(saes["run_id"]):
        return None
    first = saes.drop_duplicates("encoder").set_index("encoder")
    return Comparison(run_id, dict(first["run_id"]), dict(first["modality"]), frozenset(saes["run_id"]))


def partners(found: Comparison, encoder: str, layer: int, feature: int) -> pd.DataFrame:
    """Return the best match of a feature of an encoder's first seed in every other encoder, the surest first.

    Columns: encoder, run_id, partner_layer, partner, rho, held_out_rho. Encoders of which the comparison recorded no
    partners are left out; there are no rows for a constant feature.
    """
    parts = []
    for other, run_id in found.first.items():
        if other == encoder:
            continue
        try:
            rows = registry.feature_partners(found.run_id, encoder, other, layer, feature)
        except ValueError:
            continue
        parts.append(rows.assign(encoder=other, run_id=run_id))
    columns = ["encoder", "run_id", "partner_layer", "partner", "rho", "held_out_rho"]
    if not parts:
        return pd.DataFrame(columns=columns)
    table = pd.concat(parts, ignore_index=True)[columns]
    return table.sort_values("held_out_rho", ascending=False, ignore_index=True, kind="stable")


def other_seeds(trained: pd.DataFrame, run_id: str, compared: Collection[str]) -> dict[str, list[str]]:
    """Return the other seeds of a train run's encoder, suite and dataset, each with its runs, those to prefer first.

    `trained` holds finished train runs, newest first; those that were compared together with this run come first.
    """
    found = trained[trained["run_id"] == run_id]
    if found.empty:  # among too many to list
        return {}
    own = found.iloc[0]
    same = trained[
        (trained["suite"] == own["suite"])
        & (trained["dataset"] == own["dataset"])
        & (trained["encoder"] == own["encoder"])
        & (trained["seed"] != own["seed"])
    ]
    seeds: dict[str, list[str]] = {}
    for row in same.to_dict("records"):
        seeds.setdefault(str(row["seed"]), []).append(str(row["run_id"]))
    return {
        seed: sorted(runs, key=lambda run: run not in compared)
        for seed, runs in sorted(seeds.items(), key=lambda item: (len(item[0]), item[0]))
    }


def twins(features: Features, other: Features) -> pd.DataFrame:
    """Return the most correlated feature in the same layer under another seed for every live feature of a layer.

    Columns: feature, twin, rho, and mutual: whether the feature is in turn the twin's most correlated one. Raises
    ValueError when the features belong to different samples or to dictionaries of different sizes.
    """
    if features.n_latents != other.n_latents:
        raise ValueError(f"dictionaries of {features.n_latents} and {other.n_latents} features are no seeds of one.")
    found = max_correlation(features, other, threads=1)
    live = np.flatnonzero(found.source_match >= 0)
    twin = found.source_match[live]
    return pd.DataFrame({
        "feature": live, "twin": twin, "rho": found.source[live], "mutual": found.target_match[twin] == live
    })  # fmt: skip


def stability(found: Sequence[pd.DataFrame]) -> pd.Series:
    """Return the mean correlation with the twins of several seeds (tables of `twins`) by feature; empty for none."""
    if not found:
        return pd.Series(dtype=float)
    return pd.concat(found).groupby("feature")["rho"].mean()
