"""Which single features are found again beyond what chance gives.

`chance` judges a whole comparison. Here every feature gets a p-value and a q-value: among the features with a q-value
up to 0.05, about 5 % are false discoveries (Benjamini and Hochberg 1995).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.features import Features, SparseFeatures
from benchmark.metrics.chance import shuffled_maxima
from benchmark.metrics.correlation import Side, check_same_samples, layers, max_correlation
from benchmark.metrics.groups import permutation, shared_groups
from benchmark.metrics.prepared import prepare

CLASSES, LEAST = 20, 50
"""Classes of source features by how often they fire, each with a null of its own: at most, and features of one."""


class RhoSignificance(NamedTuple):
    """Per feature of the source, flat over its layers."""

    rho: NDArray[np.float64]
    """(m,) see `max_correlation`."""
    expected: NDArray[np.float64]
    """(m,) mean rho of features that fire as often, with the target's samples shuffled; NaN for constant features."""
    p_value: NDArray[np.float64]
    """(m,) share of the null of features that fire as often that reaches rho; 1 for constant features."""
    q_value: NDArray[np.float64]
    """(m,) p-values adjusted for the number of live features."""


def rho_significance(source: Side, target: Side, *, permutations: int = 19, seed: int = 0) -> RhoSignificance:
    """Return which source features correlate with a target feature more than features that fire as often do by chance.

    The highest of many correlations is larger for rare features, so the null of a feature is that of its class: source
    features are cut into up to 20 classes of 50 or more by the number of samples they fire on, and a class pools its
    maxima over all permutations (whole groups move, one order for all layers). p = (1 + null maxima at or above rho) /
    (1 + null maxima), so its least value is about 20 / (permutations * m).

    Raises ValueError when the features belong to different samples or `permutations` is below 1.
    """
    if permutations < 1:
        raise ValueError(f"at least one permutation is needed, got {permutations}.")
    sources, targets = layers(source), layers(target)
    check_same_samples(sources, targets)
    rng = np.random.default_rng(seed)
    groups = shared_groups(sources, targets)
    rho = max_correlation(sources, targets).source
    orders = (permutation(groups, rng) for _ in range(permutations))
    null = np.stack([shuffled_maxima(sources, targets, order).source for order in orders])
    counts = np.concatenate([activation_counts(f) for f in sources])
    live = np.concatenate([~_constant(f) for f in sources])
    expected, p = np.full(len(rho), np.nan), np.ones(len(rho))
    for chosen in _classes(counts, live):
        pool = np.sort(null[:, chosen].ravel())
        expected[chosen] = pool.mean()
        reached = len(pool) - np.searchsorted(pool, rho[chosen], side="left")
        p[chosen] = (1 + reached) / (1 + len(pool))
    q = np.ones(len(rho))
    q[live] = benjamini_hochberg(p[live])
    return RhoSignificance(rho, expected, p, q)


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return the adjusted p-values (q-values) of Benjamini and Hochberg (1995); raises ValueError outside [0, 1]."""
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p-values must be a list of numbers between 0 and 1.")
    order = np.argsort(p)[::-1]
    ranks = np.arange(len(p), 0, -1)
    q = np.empty(len(p))
    q[order] = np.minimum.accumulate(p[order] * len(p) / ranks) if len(p) else p
    return np.minimum(q, 1)


def activation_counts(features: Features) -> NDArray[np.int64]:
    """Return on how many samples each feature is active, (m,)."""
    if isinstance(features, SparseFeatures):
        return np.bincount(features.indices[features.values > 0], minlength=features.n_latents)
    return np.count_nonzero(features.array, axis=0)


def _constant(features: Features) -> NDArray[np.bool_]:
    if isinstance(features, SparseFeatures):
        return prepare(features).constant
    return (features.array == features.array[:1]).all(0)


def _classes(counts: NDArray[np.int64], live: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return live features in classes of about equal size by count; features of one count share a class."""
    members = np.flatnonzero(live)
    members = members[np.argsort(counts[members], kind="stable")]
    if not len(members):
        return []
    classes = min(CLASSES, max(len(members) // LEAST, 1))
    firsts = members[(np.arange(classes) * len(members)) // classes]
    cuts = np.unique(np.searchsorted(counts[members], counts[firsts], side="left"))
    return [part for part in np.split(members, cuts[1:]) if len(part)]
