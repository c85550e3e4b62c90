"""MPPC and wMPPC: how well the features of one encoder are found again in another.

MPPC^{A->B} = mean_i rho_i and wMPPC^{A->B} = sum_i S_i rho_i / sum_i S_i with S_i = sum_x f_i(x)
(arXiv 2507.18512, section 3). Both are asymmetric.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.cores import cores
from benchmark.features import Features
from benchmark.metrics.correlation import Maxima, Side, check_same_samples, layer_pair, layers
from benchmark.metrics.prepared import prepare_all

Aggregate = Literal["layer_mean", "global"]


class LayerComparison(NamedTuple):
    """wMPPC between the layers of two encoders."""

    matrix: NDArray[np.float64]
    """(La, Lb): layer a of the source against layer b of the target alone."""
    overall: float
    """All source layers against the pool of all target layers, by the aggregate asked for."""
    last: float
    """Last layer against last layer."""


def mppc(rho: ArrayLike) -> float:
    """Return the mean of rho (m,); raises ValueError when there are no features or rho is not finite."""
    values = np.asarray(rho, np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"rho must have shape (m,) with m >= 1, got {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError("rho must be finite.")
    return float(values.mean())


def wmppc(rho: ArrayLike, weights: ArrayLike) -> float:
    """Return sum_i S_i rho_i / sum_i S_i for rho (m,) and non-negative weights S (m,).

    Raises ValueError when the shapes differ, a number is not finite, a weight is negative, or all weights are zero.
    """
    values, s = np.asarray(rho, np.float64), np.asarray(weights, np.float64)
    if values.ndim != 1 or values.shape != s.shape:
        raise ValueError(f"rho {values.shape} and weights {s.shape} must both have shape (m,).")
    if not np.isfinite(s).all() or (s < 0).any():
        raise ValueError("weights must be finite and >= 0.")
    if not np.isfinite(values).all():
        raise ValueError("rho must be finite.")
    top = s.max(initial=0)
    if top == 0:
        raise ValueError("the total weight is zero: no feature is ever active, so wMPPC is not defined.")
    s = s / top  # sums of huge weights overflow
    return float((s * values).sum() / s.sum())


def wmppc_layers(
    source_layers: Side, target_layers: Side, aggregate: Aggregate = "layer_mean", *, device: str = "cpu"
) -> LayerComparison:
    """Return wMPPC for every pair of layers, for all layers together, and for the last pair.

    Args:
        source_layers, target_layers: layers from shallow to deep, over the same samples.
        aggregate: how source layers are joined: "layer_mean" is the mean of the layers' wMPPC weighted by their
            numbers of latents (as in the paper's code), "global" one S-weighted mean over all source features.
        device: see `max_correlation`.

    Raises:
        ValueError: the features belong to different samples, or a layer is dead (or all, for "global").
    """
    sources, targets = layers(source_layers), layers(target_layers)
    check_same_samples(sources, targets)
    sizes = [f.n_latents for f in sources]
    weights = [f.weights for f in sources]
    for position, activity in enumerate(weights):
        if not activity.any():
            raise ValueError(dead_layer(position, len(weights)))
    if device == "cpu":
        prepare_all([*sources, *targets], cores())
    best = Maxima(sizes, [f.n_latents for f in targets])
    matrix = np.empty((len(sources), len(targets)))
    for a, left in enumerate(sources):
        for b, right in enumerate(targets):
            pair = layer_pair(left, right, device=device)
            best.update(a, b, pair)
            matrix[a, b] = wmppc(pair.row, weights[a])
    overall = aggregated(best.result().source, np.concatenate(weights), sizes, aggregate)
    return LayerComparison(matrix, overall, float(matrix[-1, -1]))


def aggregated(rho: NDArray, weights: NDArray, sizes: Sequence[int], aggregate: Aggregate) -> float:
    """Return one wMPPC for rho and weights that are flat over layers with these numbers of latents."""
    if aggregate == "global":
        return wmppc(rho, weights)
    if aggregate != "layer_mean":
        raise ValueError(f"aggregate must be 'layer_mean' or 'global', got '{aggregate}'.")
    cuts = np.cumsum(sizes)[:-1]
    parts = list(zip(np.split(rho, cuts), np.split(weights, cuts), strict=True))
    for position, (_, s) in enumerate(parts):
        if not s.any():
            raise ValueError(dead_layer(position, len(parts)))
    return float(np.average([wmppc(r, s) for r, s in parts], weights=sizes))


def dead_layer(position: int, count: int) -> str:
    """Return what is wrong with a source whose layer at this position, of `count`, is never active."""
    which = f"layer {position + 1} of {count} of the source" if count > 1 else "the source"
    return f"the total weight is zero: no feature of {which} is ever active, so wMPPC is not defined."


def flat_weights(side: Sequence[Features]) -> NDArray[np.float64]:
    """Return S of all layers, concatenated."""
    return np.concatenate([f.weights for f in side])
