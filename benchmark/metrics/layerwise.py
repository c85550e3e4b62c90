"""Which layers of two encoders share features: every pair of layers alone, and where partners lie when all may be one.

Two matrices (La, Lb) are looked at. The *cells* are the wMPPC of one layer against one layer, each with a cross-fitted
value and a chance level: `crossfit_both` and `chance_both` of every pair of layers, with the work that they have in
common done once. The *parts* take the value of all layers together (`layer_mean`, where every target layer offers
candidates) apart by where a feature is and where its partner is:

    part[a, b] = m_a / m * sum_{i in a} S_i r_ib / sum_{i in a} S_i,
    r_ib = sum_{folds whose partner of i is in b} cov(f_i, g_p) / sqrt(sum_folds var(f_i) sum_folds var(g_p))

with m_a latents in layer a and m in all. The sum over folds is that of the cross-fitted correlation, so the parts add
up to the cross-fitted value of all layers: a cell says what a pair of layers could share, a part what it contributes
where other layers compete. Parts of the null say where partners lie by chance: where features are rarest.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.cores import cores
from benchmark.features import Features, SparseFeatures
from benchmark.metrics.correlation import (
    MaxCorrelation,
    Maxima,
    Side,
    check_same_samples,
    layer_pair,
    layers,
    sparse_pair,
)
from benchmark.metrics.groups import permutation, shared_groups
from benchmark.metrics.prepared import prepare, prepare_all, repaired
from benchmark.metrics.wmppc import dead_layer, wmppc

Step = Callable[[], object]


class LayerNull(NamedTuple):
    """Naive values of one direction and their null, one permutation of the samples for all layers of a draw."""

    cells: NDArray[np.float64]
    """(La, Lb) naive wMPPC of each pair of layers alone."""
    cell_null: NDArray[np.float64]
    """(K, La, Lb) the same with shuffled samples."""
    overall: float
    """Naive wMPPC of all layers together (`layer_mean`)."""
    overall_null: NDArray[np.float64]
    """(K,) the same with shuffled samples."""
    parts: NDArray[np.float64]
    """(La, Lb): what of `overall` is due to source layer a and partners in target layer b."""
    part_null: NDArray[np.float64]
    """(K, La, Lb) the same with shuffled samples."""


def null_layers(
    source_layers: Side, target_layers: Side, *, permutations: int = 19, seed: int = 0, step: Step = lambda: None
) -> tuple[LayerNull, LayerNull]:
    """Return naive values and their null for all pairs of layers, source to target and target to source.

    Args:
        source_layers, target_layers: layers from shallow to deep, over the same samples.
        permutations: draws of the null, K.
        seed: of the permutations, which are those of `chance` under the same seed.
        step: called after the value and after each draw.

    Raises:
        ValueError: the features belong to different samples, `permutations` is negative, or a layer is dead.
    """
    if permutations < 0:
        raise ValueError(f"permutations must be >= 0, got {permutations}.")
    sources, targets = prepared_sides(source_layers, target_layers)
    weights = [f.weights for f in sources], [f.weights for f in targets]
    groups = shared_groups(sources, targets)
    rng = np.random.default_rng(seed)
    drawn = []
    for number in range(permutations + 1):
        order = permutation(groups, rng) if number else None
        drawn.append(_naive(sources, targets, weights, order))
        step()
    there, back = (
        LayerNull(
            cells[0], cells[1:], float(parts[0].sum()), parts[1:].sum((1, 2)), parts[0], parts[1:],
        )
        for cells, parts in (
            (np.stack([draw[way][0] for draw in drawn]), np.stack([draw[way][1] for draw in drawn])) for way in (0, 1)
        )
    )  # fmt: skip
    return there, back


def prepared_sides(source_layers: Side, target_layers: Side) -> tuple[list[Features], list[Features]]:
    """Return both sides as prepared lists of layers; raises ValueError for dead layers and for different samples."""
    sources, targets = layers(source_layers), layers(target_layers)
    check_same_samples(sources, targets)
    for side in (sources, targets):
        for position, features in enumerate(side):
            if not features.weights.any():
                raise ValueError(dead_layer(position, len(side)))
    prepare_all([*sources, *targets], cores())
    return sources, targets


def _naive(
    sources: list[Features],
    targets: list[Features],
    weights: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]],
    order: NDArray[np.int64] | None,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return cells and parts, of source to target and of target to source, with the target's samples in an order."""
    sizes = [f.n_latents for f in sources], [f.n_latents for f in targets]
    best = Maxima(*sizes)
    cells = np.empty((2, len(sources), len(targets)))
    for a, left in enumerate(sources):
        moved = repaired(prepare(left), order) if order is not None and isinstance(left, SparseFeatures) else None
        for b, right in enumerate(targets):
            if moved is not None and isinstance(right, SparseFeatures):
                pair = sparse_pair(moved, prepare(right))
            else:
                pair = layer_pair(left, right if order is None else right.take(order))
            best.update(a, b, pair)
            cells[:, a, b] = wmppc(pair.row, weights[0][a]), wmppc(pair.column, weights[1][b])
    found: MaxCorrelation = best.result()
    return [
        (cells[0], _naive_parts(found.source, found.source_match, weights[0], sizes[0], sizes[1])),
        (cells[1].T, _naive_parts(found.target, found.target_match, weights[1], sizes[1], sizes[0])),
    ]


def _naive_parts(
    rho: NDArray[np.float64],
    match: NDArray[np.int64],
    weights: list[NDArray[np.float64]],
    own: list[int],
    other: list[int],
) -> NDArray[np.float64]:
    at, flat = layer_of(match, other), np.concatenate(weights) * rho
    top = np.stack([np.add.reduceat(np.where(at == b, flat, 0), layer_starts(own)) for b in range(len(other))], axis=1)
    return top / np.array([s.sum() for s in weights])[:, None] * (np.array(own) / sum(own))[:, None]


def layer_starts(sizes: list[int]) -> NDArray[np.int64]:
    """Return where each layer starts among concatenated ones."""
    return np.cumsum([0, *sizes])[:-1]


def layer_of(match: NDArray[np.int64], sizes: list[int]) -> NDArray[np.int64]:
    """Return the position of the layer that holds each partner, -1 where there is none."""
    return np.where(match >= 0, np.searchsorted(np.cumsum(sizes), match, side="right"), -1)
