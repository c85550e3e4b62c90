"""Which samples of several datasets are compared: as many of each, and those that two of them have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmark.features import DenseFeatures, Features, SparseFeatures
from benchmark.jobs.experiment import Material
from benchmark.jobs.sides import Layers


@dataclass(frozen=True)
class Compared:
    """One dataset of a drift run."""

    name: str
    """What it is called: plain, or the variant."""
    material: Material
    rows: NDArray[np.int64]
    """Its compared samples."""

    @cached_property
    def ids(self) -> list[str]:
        """The ids of the compared samples."""
        return [self.material.dataset.ids[row] for row in self.rows]

    def load(self, encoder: str, seed: int, rows: NDArray[np.int64] | None = None) -> Layers:
        """Return {layer: features} of the compared samples, or of other ones."""
        return self.material.load(encoder, seed, self.rows if rows is None else rows)

    def last(self, encoder: str, seed: int, rows: NDArray[np.int64] | None = None) -> tuple[int, Features]:
        """Return the deepest chosen layer of an encoder and its features."""
        layers = self.load(encoder, seed, rows)
        return max(layers), layers[max(layers)]


def matched_samples(names: Sequence[str], materials: Sequence[Material], seed: int = 0) -> list[Compared]:
    """Return the datasets with equally many compared samples each, as far as whole groups allow.

    A dataset with more gives up groups drawn at random; datasets of the same samples keep the same ones.
    """
    count = min(len(each.compared) for each in materials)
    found = []
    for name, material in zip(names, materials, strict=True):
        rows, groups = material.compared, material.dataset.groups[material.compared]
        if len(rows) > count:
            kinds, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
            order = np.random.default_rng(seed).permutation(len(kinds))
            kept = np.zeros(len(kinds), bool)
            kept[order[np.cumsum(sizes[order]) <= count]] = True
            rows = rows[kept[inverse]]
        found.append(Compared(name, material, rows))
    return found


def common_rows(one: Compared, other: Compared) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the compared samples that both datasets have (by id), in the order of the first."""
    place = {id_: row for id_, row in zip(other.ids, other.rows, strict=True)}
    both = [(row, place[id_]) for id_, row in zip(one.ids, one.rows, strict=True) if id_ in place]
    found = np.array(both, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def under(features: Features, like: Features) -> Features:
    """Return features of the same samples in another dataset as if they were recorded over those of `like`."""
    if features.samples == like.samples:
        return features
    if isinstance(features, SparseFeatures):
        return SparseFeatures(features.indices, features.values, features.n_latents, like.samples, like.groups)
    return DenseFeatures(features.array, like.samples, like.groups)
