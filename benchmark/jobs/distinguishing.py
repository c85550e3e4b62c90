"""The features of M that are found in G and not in H, with what they show: Comparative Sharedness of single encoders.

One encoder a side is the plain form, Delta_i = S_i ((rho_i^{M->G})^2 - (rho_i^{M->H})^2). S and the correlations with H
stay as they are when G's samples are shuffled, so that a feature's Delta is as surprising as its correlation with G is
among features that fire as often: its p-value is that of `rho_significance` towards G.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmark.jobs.experiment import Material
from benchmark.jobs.matrix import FOLD_SEED, PERMUTATION_SEED
from benchmark.metrics import comparative_sharedness, held_out_rho, max_correlation, rho_significance

TOP = 10
"""Features that are shown."""
CAPTIONS = 3


def feature_table(material: Material, source: str, shared: str, absent: str) -> pd.DataFrame:
    """Return one row per active feature of the source's last layer under the first seed, highest Delta first.

    Columns: rank (1: highest Delta), encoder, seed, layer, feature, name (empty: nothing named it), delta, S, S_share
    (S divided by its sum), then towards the encoder that shares (`shared`) and the one that does not (`absent`):
    rho_X (highest correlation), held_out_X (of partners chosen without the samples it is taken on), expected_X (mean
    rho of features that fire as often when samples are shuffled), q_X (share of false discoveries among features up to
    this one), partner_X (the feature that attains rho). delta_held_out is Delta of the held-out correlations.
    Under the next seed, if there is one: again (the feature that correlates most), again_rho, and again_rank (the share
    of features there with a higher Delta: 0.01 is the top 1 %).
    """
    seeds = material.plan.suite.seeds
    own, one, other = (material.load(name, seeds[0]) for name in (source, shared, absent))
    layer = max(own)
    features, suite = own[layer], material.plan.suite
    sides = {"shared": one[max(one)], "absent": other[max(other)]}
    found = comparative_sharedness(features, [sides["shared"]], [sides["absent"]])
    columns: dict[str, Any] = {
        "encoder": source, "seed": seeds[0], "layer": layer, "feature": np.arange(features.n_latents), "name": "",
        "delta": found.delta, "S": found.weights, "S_share": found.weights / found.weights.sum(),
    }  # fmt: skip
    for name, side in sides.items():
        best = max_correlation(features, side)
        columns[f"rho_{name}"] = best.source
        columns[f"held_out_{name}"] = held_out_rho(features, side, folds=suite.folds, seed=FOLD_SEED)
        if suite.permutations:
            null = rho_significance(features, side, permutations=suite.permutations, seed=PERMUTATION_SEED)
            columns |= {f"expected_{name}": null.expected, f"q_{name}": null.q_value}
        columns[f"partner_{name}"] = best.source_match
    held_out = [np.maximum(columns[f"held_out_{name}"], 0) ** 2 for name in sides]
    columns["delta_held_out"] = found.weights * (held_out[0] - held_out[1])
    if len(seeds) > 1:
        columns |= _again(material, source, shared, absent, layer)
    table = pd.DataFrame(columns)
    table = table[table.S > 0].sort_values("delta", ascending=False, kind="stable", ignore_index=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def _again(material: Material, source: str, shared: str, absent: str, layer: int) -> dict[str, Any]:
    """Return what the next seed's dictionary makes of each feature."""
    first, second = material.plan.suite.seeds[:2]
    features = material.load(source, second)[layer]
    one, other = (material.load(name, second) for name in (shared, absent))
    delta = comparative_sharedness(features, [one[max(one)]], [other[max(other)]]).delta
    above = 1 - (np.argsort(np.argsort(delta, kind="stable"), kind="stable") + 1) / len(delta)
    best = max_correlation(material.load(source, first)[layer], features)
    match = best.source_match
    return {"again": match, "again_rho": best.source, "again_rank": np.where(match >= 0, above[match], np.nan)}


def top_table(material: Material, table: pd.DataFrame) -> pd.DataFrame:
    """Return the first features of `feature_table` with frequency, density and the captions of their best samples.

    frequency and density: samples of the whole dataset that the feature is active on, and their share; caption_1 to
    caption_3: of the three samples that activate it most, "" where there are none. Captions are untrusted text.
    """
    import registry

    top = table.head(TOP)
    run = material.run_of(str(top.encoder.iloc[0]), int(top.seed.iloc[0])).run_id
    layer = int(top.layer.iloc[0])
    summary = registry.feature_summary(run, layer)[["feature", "frequency", "density"]]
    top = top.merge(summary, on="feature", how="left")
    samples = _samples(run, layer, top)
    for number in range(CAPTIONS):
        top[f"caption_{number + 1}"] = [
            str(part.caption.iloc[number]) if len(part := samples[feature]) > number else "" for feature in top.feature
        ]
    return top


def pictures(material: Material, top: pd.DataFrame) -> dict[int, list[bytes]]:
    """Return feature -> JPEG bytes of the images that activate it most, strongest first."""
    import registry

    run = material.run_of(str(top.encoder.iloc[0]), int(top.seed.iloc[0])).run_id
    samples = _samples(run, int(top.layer.iloc[0]), top)
    wanted = [int(image) for part in samples.values() for image in part.image]
    small = registry.thumbnails(run, wanted)
    return {
        feature: [small[image] for image in part.image.tolist() if image in small] for feature, part in samples.items()
    }


def _samples(run: str, layer: int, top: pd.DataFrame) -> Mapping[int, pd.DataFrame]:
    import registry

    found = registry.feature_samples(run, layer, top.feature.tolist())
    found = found[found.level == "top"].sort_values("rank")
    return {int(feature): found[found.feature == feature] for feature in top.feature}
