"""Comparative Sharedness against what any other split of the same encoders would give.

If G and H were no different, every split of these n = |G| + |H| encoders into groups of these sizes would be as likely.
Only ranks decide what a split gives a feature: with its squared correlations s_1 <= ... <= s_n, the lowest in G is s_i
and the highest in H is s_j

    in C(j - i - 1, j - |H| - 1) splits for i <= |H| < j (all below i are in H, all above j in G, i in G, j in H),
    in one split for j = |H|, i = |H| + 1 (H holds the lowest ones), and in no others,

so all splits are counted without listing them, however many there are.
"""

from collections.abc import Iterator
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class SharednessBaseline(NamedTuple):
    """Comparative Sharedness against what any other split of the same encoders gives."""

    p_value: NDArray[np.float64]
    """(m,) share of all splits of the encoders into groups of these sizes whose Delta is at least the observed one."""
    positive: float
    """Share of features with a Delta above 0."""
    positive_by_chance: float
    """The same if every split were as good: |G|! |H|! / (|G| + |H|)! where all correlations differ."""
    positive_p: float
    """Share of all splits that give at least as large a share of features a Delta above 0, this one among them."""
    expected: NDArray[np.float64]
    """(m,) mean of rho_shared^2 - rho_absent^2 over all splits."""
    splits: int
    """Number of splits."""


def sharedness_baseline(shared: ArrayLike, absent: ArrayLike) -> SharednessBaseline:
    """Compare Delta with its values for all splits of the encoders G and H into groups of the same sizes.

    shared (|G|, m) and absent (|H|, m) hold rho of every source feature with every encoder. If G and H were no
    different, every split would be as likely: with two against two there are six, so no p-value is below 1/6 and one
    feature in six has a positive Delta by chance.

    Raises ValueError for arrays that do not fit or are not finite, and for an empty group.
    """
    g, h = _squares(shared, absent)
    ranked = np.sort(np.concatenate([g, h]), axis=0)
    splits = comb(len(ranked), len(g))
    observed = g.min(0) - h.max(0)
    reached, total = np.zeros(g.shape[1]), np.zeros(g.shape[1])
    for i, j, count in _extremes(len(g), len(h)):
        difference = ranked[i] - ranked[j]
        reached += float(count) * (difference >= observed)
        total += float(count) * difference
    by_set = _positive_by_split(np.concatenate([g, h]), len(g))
    positive = int((observed > 0).sum())
    return SharednessBaseline(
        reached / splits, positive / g.shape[1], float(by_set.sum()) / g.shape[1] / splits,
        int((by_set >= positive).sum()) / splits if positive else 1.0, total / splits, splits,
    )  # fmt: skip


def split_histogram(shared: ArrayLike, absent: ArrayLike, edges: ArrayLike) -> NDArray[np.float64]:
    """Return how many features have rho_shared^2 - rho_absent^2 between two edges, in the mean over all splits.

    shared (|G|, m) and absent (|H|, m) are those of `sharedness_baseline`; edges (b + 1,) grow. Values at an edge count
    below it, so that a 0 is not above 0; those outside the edges count nowhere. Shape (b,).
    """
    g, h = _squares(shared, absent)
    bounds = np.asarray(edges, np.float64)
    ranked = np.sort(np.concatenate([g, h]), axis=0)
    found = np.zeros(len(bounds) - 1)
    for i, j, count in _extremes(len(g), len(h)):
        found += float(count) * counts_between(ranked[i] - ranked[j], bounds)
    return found / comb(len(ranked), len(g))


def counts_between(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many values lie above an edge and at or below the next, (b,) for (b + 1,) growing edges."""
    place = np.searchsorted(edges, values, side="left")
    return np.bincount(place, minlength=len(edges) + 1)[1 : len(edges)]


def _extremes(g: int, h: int) -> Iterator[tuple[int, int, int]]:
    """Yield the ranks (from 0) of the lowest value in G and the highest in H, and the number of splits with them."""
    yield h, h - 1, 1
    for i in range(h):
        for j in range(h, g + h):
            yield i, j, comb(j - i - 1, j - h)


def _positive_by_split(squares: NDArray[np.float64], g: int) -> NDArray[np.int64]:
    """Return how many features have a Delta above 0 under each split that gives any one.

    It is above 0 under the one split whose G holds the feature's g highest values, if those are above all others.
    """
    order = np.argsort(squares, axis=0, kind="stable")
    ranked = np.take_along_axis(squares, order, axis=0)
    apart = ranked[-g] > ranked[-g - 1]
    if not apart.any():
        return np.zeros(0, np.int64)
    highest = np.sort(order[-g:, apart], axis=0)
    return np.unique(highest, axis=1, return_counts=True)[1]


def _squares(shared: ArrayLike, absent: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    g, h = (np.maximum(np.asarray(part, np.float64), 0) ** 2 for part in (shared, absent))
    if g.ndim != 2 or h.ndim != 2 or not g.size or not h.size or g.shape[1] != h.shape[1]:
        raise ValueError(f"expected rho of shapes (|G|, m) and (|H|, m), got {g.shape} and {h.shape}.")
    if not (np.isfinite(g).all() and np.isfinite(h).all()):
        raise ValueError("rho must be finite.")
    return g, h
