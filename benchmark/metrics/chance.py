"""The chance level of wMPPC: the same maximum over the same features when samples no longer belong together.

The maximum over thousands of rare candidates is biased upward, more for fewer samples, so a wMPPC means nothing
without the level that unrelated features reach. Each draw uses one permutation for all layers and recomputes the
maximum; whole groups move.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.features import Features, SparseFeatures
from benchmark.metrics.correlation import (
    MaxCorrelation,
    Maxima,
    Side,
    check_same_samples,
    layer_pair,
    layers,
    max_correlation,
    sparse_pair,
)
from benchmark.metrics.groups import permutation, shared_groups
from benchmark.metrics.prepared import prepare, repaired
from benchmark.metrics.wmppc import Aggregate, aggregated, flat_weights

ENOUGH_FOR_P = 19


class Chance(NamedTuple):
    """wMPPC of one direction with its null."""

    naive: float
    """wMPPC as defined."""
    null: NDArray[np.float64]
    """(K,) wMPPC of each permutation."""
    calibrated: float
    """max((naive - tau) / (1 - tau), 0) with tau the mean of the null; NaN without permutations."""
    p_value: float
    """(1 + #{null >= naive}) / (K + 1); NaN below 19 permutations, which cannot reach 0.05."""


def chance(
    source: Side, target: Side, *, permutations: int = 19, seed: int = 0, aggregate: Aggregate = "layer_mean"
) -> Chance:
    """Return wMPPC from source to target with its permutation null.

    Raises ValueError when the features belong to different samples, `permutations` is negative, or no source feature
    is active.
    """
    return _chances(source, target, permutations, seed, aggregate, ways=1)["wmppc"][0]


def chance_both(
    source: Side, target: Side, *, permutations: int = 19, seed: int = 0, aggregate: Aggregate = "layer_mean"
) -> tuple[Chance, Chance]:
    """Return `chance` for source to target and for target to source, at the cost of one of them."""
    there, back = _chances(source, target, permutations, seed, aggregate, ways=2)["wmppc"]
    return there, back


def chance_measures(
    source: Side, target: Side, *, permutations: int = 19, seed: int = 0, aggregate: Aggregate = "layer_mean"
) -> dict[str, tuple[Chance, Chance]]:
    """Return `chance_both` of wMPPC and of MPPC (keys "wmppc" and "mppc"), at the cost of one of them."""
    return {
        name: (there, back)
        for name, (there, back) in _chances(source, target, permutations, seed, aggregate, ways=2).items()
    }


def _chances(
    source: Side, target: Side, permutations: int, seed: int, aggregate: Aggregate, ways: int
) -> dict[str, list[Chance]]:
    """Return, for each measure, source to target and, for two `ways`, target to source."""
    if permutations < 0:
        raise ValueError(f"permutations must be >= 0, got {permutations}.")
    sources, targets = layers(source), layers(target)
    check_same_samples(sources, targets)
    groups = shared_groups(sources, targets)
    rng = np.random.default_rng(seed)
    sizes = [f.n_latents for f in sources], [f.n_latents for f in targets]
    activity = flat_weights(sources), flat_weights(targets)
    # MPPC is the mean over features: wMPPC with equal weights.
    measures = {"wmppc": activity, "mppc": tuple(np.ones_like(weights) for weights in activity)}

    def draw(order: NDArray[np.int64] | None) -> list[list[float]]:
        rho = shuffled_maxima(sources, targets, order)
        return [
            [aggregated((rho.source, rho.target)[w], weights[w], sizes[w], aggregate) for w in range(ways)]
            for weights in measures.values()
        ]

    naive = draw(None)
    drawn = [draw(permutation(groups, rng)) for _ in range(permutations)]
    null = np.array(drawn).reshape(permutations, len(measures), ways)
    return {name: [_chance(naive[i][w], null[:, i, w]) for w in range(ways)] for i, name in enumerate(measures)}


def shuffled_maxima(
    sources: Sequence[Features], targets: Sequence[Features], order: NDArray[np.int64] | None
) -> MaxCorrelation:
    """Return the maxima over all layers with the target's samples in another order, the same in all its layers."""
    if order is None:
        return max_correlation(sources, targets)
    best = Maxima([f.n_latents for f in sources], [f.n_latents for f in targets])
    for a, left in enumerate(sources):
        moved = repaired(prepare(left), order) if isinstance(left, SparseFeatures) else None
        for b, right in enumerate(targets):
            if moved is not None and isinstance(right, SparseFeatures):
                best.update(a, b, sparse_pair(moved, prepare(right)))
            else:
                best.update(a, b, layer_pair(left, right.take(order)))
    return best.result()


def _chance(naive: float, null: NDArray[np.float64]) -> Chance:
    k = len(null)
    tau = null.mean() if k else np.nan
    # tau is 1 only where every partner is found by chance; nothing is left to calibrate then.
    calibrated = max((naive - tau) / (1 - tau), 0.0) if tau < 1 else (0.0 if k else np.nan)
    p_value = (1 + int((null >= naive).sum())) / (k + 1) if k >= ENOUGH_FOR_P else np.nan
    return Chance(naive, null, float(calibrated), p_value)
