"""Layers of encoders against layers of encoders, under all pairs of seeds: what `layers` and `reproduce` look at."""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.errors import InputError
from benchmark.jobs.experiment import Material
from benchmark.jobs.matrix import FOLD_SEED, PERMUTATION_SEED, RESAMPLES, resampled
from benchmark.jobs.memory import memory_budget
from benchmark.jobs.sides import Layers, Side, loaded_pairs
from benchmark.metrics.concentration import depths
from benchmark.metrics.groups import shared_groups
from benchmark.metrics.layer_fit import LayerFit, crossfit_layers
from benchmark.metrics.layerwise import LayerNull, null_layers

Array = NDArray[np.float64]
Names = frozenset[str]
"""Two encoders, or one that is compared with itself."""


@dataclass(frozen=True)
class LayerMatrices:
    """One encoder's layers against another's, mean over the pairs of seeds; draws are resampled groups and seeds."""

    source: str
    target: str
    source_layers: tuple[int, ...]
    target_layers: tuple[int, ...]
    fits: Mapping[tuple[int, int], LayerFit]
    """By source seed and target seed; different ones for an encoder with itself."""
    nulls: Mapping[tuple[int, int], LayerNull]
    n_samples: int
    n_groups: int

    @property
    def own(self) -> bool:
        """Whether an encoder is compared with itself."""
        return self.source == self.target

    @property
    def depths(self) -> tuple[Array, Array]:
        """Depths of the source's and of the target's layers."""
        return depths(self.source_layers), depths(self.target_layers)

    @property
    def cells(self) -> Array:
        """(La, Lb) cross-fitted values of each pair of layers alone."""
        return np.mean([fit.cells for fit in self.fits.values()], axis=0)

    @property
    def parts(self) -> Array:
        """(La, Lb) parts of `overall`, which they add up to."""
        return np.mean([fit.parts for fit in self.fits.values()], axis=0)

    @property
    def overall(self) -> float:
        """Cross-fitted wMPPC of all source layers against all target layers."""
        return float(np.mean([fit.overall.value for fit in self.fits.values()]))

    @property
    def naive(self) -> Array:
        """(La, Lb) naive wMPPC of each pair of layers alone."""
        return np.mean([null.cells for null in self.nulls.values()], axis=0)

    @property
    def naive_overall(self) -> float:
        """Naive wMPPC of all source layers against all target layers."""
        return float(np.mean([null.overall for null in self.nulls.values()]))

    def null(self, name: str) -> Array:
        """Return the mean over draws and pairs of seeds of `cell_null`, `part_null` or `overall_null`.

        It is NaN without permutations.
        """
        found = np.stack([getattr(null, name) for null in self.nulls.values()])
        return found.mean((0, 1)) if found.shape[1] else np.full(found.shape[2:], np.nan)

    def drawn(self, name: str) -> Array:
        """Return draws (R, ...) of `cells`, `parts` or `overall`: groups of samples and seeds drawn with replacement.

        All fields are resampled with the same groups and seeds, so that draws of different ones belong together.
        """
        one = {
            key: fit.overall.draws if name == "overall" else fit.cell_draws if name == "cells" else fit.part_draws
            for key, fit in self.fits.items()
        }
        return resampled(one, np.random.default_rng(0), own=self.own)


def layer_matrices(material: Material, wanted: Collection[Names]) -> dict[tuple[str, str], LayerMatrices]:
    """Return the layers of the wanted encoders against each other by (source, target), both ways.

    An encoder is compared with itself across seeds only: pairs of one encoder need two seeds, or have no entry. Raises
    InputError for a layer that is never active.
    """
    suite, rows = material.plan.suite, material.compared
    pairs = [(a, b) for a, b in itertools.combinations(material.sides, 2) if frozenset((a[0], b[0])) in wanted]
    loaded = loaded_pairs(pairs, material.sides, rows, min_count=suite.min_count, budget=memory_budget("cpu"))
    fits: dict[tuple[str, str], dict[tuple[int, int], LayerFit]] = {}
    nulls: dict[tuple[str, str], dict[tuple[int, int], LayerNull]] = {}
    about: dict[str, tuple[int, ...]] = {}
    n_groups = 0
    total = len(pairs) * (1 + suite.permutations + suite.folds)
    with tqdm(total=total, desc="layers", unit="draw", mininterval=0.5) as bar:
        for a, b, left, right in loaded:
            _refuse_dead(a, left)
            _refuse_dead(b, right)
            sides = list(left.values()), list(right.values())
            null = null_layers(*sides, permutations=suite.permutations, seed=PERMUTATION_SEED, step=bar.update)
            fit = crossfit_layers(*sides, folds=suite.folds, seed=FOLD_SEED, resamples=RESAMPLES, step=bar.update)
            for way, (one, two) in enumerate(((a, b), (b, a))):
                fits.setdefault((one[0], two[0]), {})[one[1], two[1]] = fit[way]
                nulls.setdefault((one[0], two[0]), {})[one[1], two[1]] = null[way]
            about |= {a[0]: tuple(left), b[0]: tuple(right)}
            n_groups = int(shared_groups(*sides).max()) + 1
    return {
        (source, target): LayerMatrices(
            source, target, about[source], about[target], found, nulls[source, target], len(rows), n_groups
        )
        for (source, target), found in fits.items()
    }


def cell_table(matrices: Mapping[tuple[str, str], LayerMatrices]) -> pd.DataFrame:
    """Return one row per source, target, source layer and target layer.

    Columns: source, target, source_layer, target_layer, source_depth, target_depth (0 first block, 1 deepest),
    crossfit with low and high (95 %: groups of samples and seeds resampled), naive, chance (mean of the null),
    calibrated, ceiling (the cross-fitted value of the source's layer against itself under another seed; NaN unless it
    was compared with itself), part with part_low and part_high (what of the cross-fitted value of all layers together
    is due to this source layer and partners in this target layer), part_chance (the same of the shuffled naive value),
    best (the source layer's highest cross-fitted target layer), seed_pairs, n_samples, n_groups.
    """
    parts = []
    for (source, target), found in matrices.items():
        cells, naive, chance = found.cells, found.naive, found.null("cell_null")
        ends = {name: np.quantile(found.drawn(name), [0.025, 0.975], axis=0) for name in ("cells", "parts")}
        own = matrices.get((source, source))
        ceiling = np.diagonal(own.cells) if own else np.full(len(cells), np.nan)
        a, b = np.divmod(np.arange(cells.size), cells.shape[1])
        deep = found.depths
        columns: dict[str, Any] = {
            "source": source, "target": target,
            "source_layer": np.array(found.source_layers)[a], "target_layer": np.array(found.target_layers)[b],
            "source_depth": deep[0][a], "target_depth": deep[1][b],
            "crossfit": cells[a, b], "low": ends["cells"][0][a, b], "high": ends["cells"][1][a, b],
            "naive": naive[a, b], "chance": chance[a, b], "calibrated": calibrated(naive, chance)[a, b],
            "ceiling": ceiling[a],
            "part": found.parts[a, b],
            "part_low": ends["parts"][0][a, b], "part_high": ends["parts"][1][a, b],
            "part_chance": found.null("part_null")[a, b],
            "best": cells.argmax(1)[a] == b,
            "seed_pairs": len(found.fits), "n_samples": found.n_samples, "n_groups": found.n_groups,
        }  # fmt: skip
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def calibrated(naive: Array, chance: Array) -> Array:
    """Return max((naive - chance) / (1 - chance), 0); NaN where there is no chance level."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(
            chance < 1, np.maximum((naive - chance) / (1 - chance), 0), np.where(np.isnan(chance), np.nan, 0)
        )


def _refuse_dead(side: Side, layers: Layers) -> None:
    for layer, features in layers.items():
        if not features.weights.any():
            raise InputError(
                f"no feature of layer {layer} of encoder '{side[0]}' (seed {side[1]}) is active on the compared "
                "samples; leave the layer out (layers=1,2,3) or use another token rule."
            )
