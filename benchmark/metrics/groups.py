"""Permutations, folds and blocks that keep the samples of one group (one image) together.

Samples of one image are not independent: moving single rows would leave false sharing behind (with five captions an
image and nothing shared, 0.15 of wMPPC).
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from benchmark.features import Features

# A size class with fewer groups than this has too few permutations of its own.
ENOUGH = 20


def shared_groups(*sides: Sequence[Features]) -> NDArray[np.int64]:
    """Return the group (0..G-1) of each sample, from the first feature set that knows groups; else one a sample."""
    for features in chain(*sides):
        if features.groups is not None:
            return np.unique(features.groups, return_inverse=True)[1].astype(np.int64)
    return np.arange(sides[0][0].n_samples)


def permutation(groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return an order of the samples (N,) that exchanges whole groups at random.

    Groups are exchanged with groups of their own size. Sizes that occur fewer than 20 times are pooled: their groups
    are laid end to end in random order, which moves them whole but lets a group overlap two others; a group that is
    alone among them stays where it is.
    """
    n = len(groups)
    sizes = np.bincount(groups) if n else np.empty(0, int)
    samples = np.argsort(groups, kind="stable")
    starts = np.cumsum(sizes) - sizes
    order = np.arange(n)
    kinds, counts = np.unique(sizes[sizes > 0], return_counts=True)
    pooled = [kind for kind, count in zip(kinds, counts, strict=True) if count < ENOUGH]
    for chosen in [[kind] for kind in kinds if kind not in pooled] + ([pooled] if pooled else []):
        members = np.flatnonzero(np.isin(sizes, chosen))
        if len(chosen) == 1:
            table = samples[starts[members, None] + np.arange(chosen[0])]
            order[table] = table[rng.permutation(len(members))]
        else:
            place, moved = (
                np.concatenate([samples[starts[g] : starts[g] + sizes[g]] for g in some])
                for some in (members, rng.permutation(members))
            )
            order[place] = moved
    return order


def folds(groups: NDArray[np.int64], k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold (0..k-1) of each sample (N,): whole groups, numbers of samples as equal as groups allow.

    Raises ValueError when there are fewer groups than two a fold: within a single sample nothing correlates, and
    a single group says nothing of how much groups differ.
    """
    sizes = np.bincount(groups) if len(groups) else np.empty(0, int)
    if len(sizes) < 2 * k:
        raise ValueError(f"{len(sizes)} groups of samples cannot be cut into {k} folds of two or more.")
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]  # large groups first, dealt to the emptiest fold
    if (sizes == sizes[0]).all():
        fold = np.empty(len(sizes), np.int64)
        fold[order] = np.arange(len(sizes)) % k
        return fold[groups]
    filled, fold = np.zeros(k), np.empty(len(sizes), np.int64)
    for group in order:
        fold[group] = np.argmin(filled)
        filled[fold[group]] += sizes[group]
    return fold[groups]
