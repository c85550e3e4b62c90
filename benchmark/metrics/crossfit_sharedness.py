"""Comparative Sharedness from cross-fitted correlations, with the error that the samples leave in it.

theta_i = min_{g in G} r_ig^2 - max_{h in H} r_ih^2 with the cross-fitted correlations r of `held_out_rho` (below 0
counted as 0), and Delta_i = S_i theta_i. Its standard error is the jackknife's over blocks of held-out groups with the
partners fixed (Efron 1982, chapter 3), stratified by fold:

    error_i^2 = sum_folds (B - 1)/B sum_blocks (theta_i without the block - theta_i)^2

A feature that fires on a few samples has few blocks that move it, so theta_i / error_i is compared with Student's t on
(sum_b v_b)^2 / sum_b v_b^2 - 1 degrees of freedom, v_b a block's squared influence (Satterthwaite's number of equal
ones).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.correlation import Side, layers
from benchmark.metrics.crossfit import held_out_rho_blocks
from benchmark.metrics.held_out import BLOCKS
from benchmark.metrics.significance import benjamini_hochberg
from benchmark.metrics.wmppc import flat_weights


class CrossfitSharedness(NamedTuple):
    """Per feature of the source, flat over its layers."""

    delta: NDArray[np.float64]
    """(m,) S_i theta_i."""
    rho_shared: NDArray[np.float64]
    """(m,) lowest cross-fitted correlation over the encoders that should share the feature, not below 0."""
    rho_absent: NDArray[np.float64]
    """(m,) highest cross-fitted correlation over the encoders that should not, not below 0."""
    weights: NDArray[np.float64]
    """(m,) S."""
    error: NDArray[np.float64]
    """(m,) standard error of Delta, S taken as known."""
    p_value: NDArray[np.float64]
    """(m,) one-sided, of the hypothesis that Delta is not above 0; 1 where Delta is not."""
    q_value: NDArray[np.float64]
    """(m,) p-values adjusted for the number of live features (Benjamini and Hochberg)."""
    mean: float
    """sum_i S_i theta_i / sum_i S_i: Delta of the whole encoder, between -1 and 1."""
    mean_error: float
    """Its standard error by the same jackknife."""


def crossfitted_sharedness(
    source: Side, shared_with: Sequence[Side], absent_from: Sequence[Side], *, folds: int = 5, seed: int = 0
) -> CrossfitSharedness:
    """Return cross-fitted Comparative Sharedness of every source feature, with errors.

    Args:
        source: features of M (one layer or several).
        shared_with: G, one item (a layer or a sequence of layers) per encoder.
        absent_from: H, likewise.
        folds: of the cross-fitted correlations.
        seed: of the folds and blocks.

    Raises:
        ValueError: G or H is empty, features belong to different samples, there are fewer groups than two a fold, or
            no source feature is active.
    """
    from scipy.stats import t

    if not len(shared_with) or not len(absent_from):
        raise ValueError("shared_with and absent_from need at least one encoder each.")
    own = layers(source)
    weights = flat_weights(own)
    if not weights.any():
        raise ValueError("the total weight is zero: no feature of the source is ever active.")

    def rho(group: Sequence[Side]) -> NDArray[np.float64]:
        """Return (|group|, 1 + blocks, m)."""
        return np.stack([held_out_rho_blocks(own, item, folds=folds, seed=seed)[0] for item in group]).clip(min=0)

    shared, absent = rho(shared_with).min(0), rho(absent_from).max(0)
    theta = shared**2 - absent**2
    influence = theta[1:] - theta[0]
    squares = influence**2
    variance = squares.sum(0) * (BLOCKS - 1) / BLOCKS
    error = np.sqrt(variance)
    fourth = (squares**2).sum(0)
    freedom = np.divide(squares.sum(0) ** 2, fourth, out=np.ones_like(fourth), where=fourth > 0)
    ratio = np.divide(theta[0], error, out=np.zeros_like(error), where=error > 0)
    p = np.where(theta[0] > 0, np.where(error > 0, t.sf(ratio, np.maximum(freedom - 1, 1)), 1.0), 1.0)
    live = weights > 0
    q = np.ones(len(p))
    q[live] = benjamini_hochberg(p[live])
    means = theta @ (weights / weights.sum())
    mean_error = float(np.sqrt(((means[1:] - means[0]) ** 2).sum() * (BLOCKS - 1) / BLOCKS))
    return CrossfitSharedness(
        weights * theta[0], shared[0], absent[0], weights, weights * error, p, q, float(means[0]), mean_error
    )
