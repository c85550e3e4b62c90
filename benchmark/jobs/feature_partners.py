"""Every feature's partner in another encoder: where a concept is found again, and how sure that is.

A row takes 22 bytes on the disk: 0.2 MB a direction for a layer of 8,192 features, 4 MB for 24 of them.
"""

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.jobs.matrix import FOLD_SEED
from benchmark.jobs.sides import Layers, Recorded, Side, loaded_pairs
from benchmark.metrics import held_out_rho_both, max_correlation
from registry.partners import PARTNERS, partners_path


def write_partners(
    recorded: Mapping[Side, Recorded],
    rows: NDArray[np.int64],
    folder: Path,
    *,
    folds: int,
    min_count: int,
    budget: int,
    earlier: Path | None = None,
) -> None:
    """Write the partners of the features of every pair of encoders, both ways, under the first seed of each.

    Args:
        recorded: features of each (encoder, seed), all over the same samples.
        rows: the samples to compare on.
        folder: gets one Parquet file a direction; `registry.feature_partners` reads it once it is an artifact.
        folds: folds of the held-out correlation.
        min_count: features active on fewer samples are emptied.
        budget: bytes of features that may be in memory at a time, see `loaded_pairs`.
        earlier: artifacts of a run that compared the same; its partners are copied, if it recorded them.
    """
    if earlier is not None and (earlier / PARTNERS).is_dir():
        shutil.copytree(earlier / PARTNERS, folder / PARTNERS)
        return
    first: dict[str, Side] = {}
    for side in recorded:
        first.setdefault(side[0], side)
    pairs = list(itertools.combinations(first.values(), 2))
    loaded = loaded_pairs(pairs, recorded, rows, min_count=min_count, budget=budget)
    for a, b, left, right in tqdm(loaded, "partners", len(pairs), unit="pair", mininterval=0.5):
        both = feature_partners(left, right, folds=folds)
        for source, target, table in zip((a, b), (b, a), both, strict=True):
            path = folder / partners_path(source[0], target[0])
            path.parent.mkdir(parents=True, exist_ok=True)
            table.to_parquet(path, index=False, compression="zstd")


def feature_partners(source: Layers, target: Layers, *, folds: int = 5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the partners of the source's features in the target, and those of the target's in the source.

    One row per live feature of the layers. Columns: layer, feature, rho (the highest correlation with any feature of
    the other side), partner_layer, partner (the one that attains it), held_out_rho (the correlation of partners chosen
    without the samples that it is taken on, see `benchmark.metrics.held_out_rho`) and S (the feature's weight).

    Raises ValueError when the features belong to different samples or there are fewer groups than folds.
    """
    own, other = list(source.values()), list(target.values())
    rho = max_correlation(own, other)
    there, back = held_out_rho_both(own, other, folds=folds, seed=FOLD_SEED)
    return (
        _table(source, target, rho.source, rho.source_match, there),
        _table(target, source, rho.target, rho.target_match, back),
    )


def _table(
    source: Layers,
    target: Layers,
    rho: NDArray[np.float64],
    match: NDArray[np.int64],
    held_out: NDArray[np.float64],
) -> pd.DataFrame:
    """Return the rows of one direction."""
    weights = np.concatenate([features.weights for features in source.values()])
    layer, feature = _places(source)
    partner_layer, partner = _places(target)
    live = np.flatnonzero(match >= 0)
    return pd.DataFrame({
        "layer": layer[live],
        "feature": feature[live],
        "rho": rho[live].astype(np.float32),
        "partner_layer": partner_layer[match[live]],
        "partner": partner[match[live]],
        "held_out_rho": held_out[live].astype(np.float32),
        "S": weights[live].astype(np.float32),
    })  # fmt: skip


def _places(layers: Layers) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Return the layer and the number within it of every feature of concatenated layers."""
    sizes = [features.n_latents for features in layers.values()]
    layer = np.repeat(np.array(list(layers), np.int16), sizes)
    return layer, np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])
