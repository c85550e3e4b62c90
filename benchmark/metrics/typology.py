"""What share of an encoder's features is shared with all encoders of one kind more than with any of another."""

from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

SPLITS = 20_000
"""Most splits of the encoders over which the chance level is taken."""


class PositiveShare(NamedTuple):
    """Share of features with a positive Comparative Sharedness."""

    share: float
    """sum_i w_i [Delta_i > 0] / sum_i w_i."""
    error: float
    """Standard error, of the samples alone."""
    by_chance: float
    """Its mean over all splits of the encoders into groups of these sizes: what holds if the kinds do not matter."""


def positive_share(shared: ArrayLike, absent: ArrayLike, weights: ArrayLike) -> PositiveShare:
    """Return the share of features found in all of G better than in any of H, with error and chance level.

    Args:
        shared: (|G|, 1 + B, m) held-out correlations of each feature with each encoder of G: over all samples, and
            without each of B blocks of them (`held_out_rho_blocks`).
        absent: (|H|, 1 + B, m) the same for H.
        weights: (m,) of the features, at least 0: 1 counts features, S the activity.

    The error is the delete-a-block jackknife's: sqrt((B - 1) / B sum_b (t_b - mean t)^2).

    Raises ValueError for arrays that do not fit, no weight, or more than 20,000 splits of the encoders.
    """
    g, h = (np.maximum(np.asarray(part, np.float64), 0) for part in (shared, absent))
    w = np.asarray(weights, np.float64)
    if g.ndim != 3 or h.ndim != 3 or g.shape[1:] != h.shape[1:] or w.shape != g.shape[2:] or not len(g) * len(h):
        raise ValueError(f"correlations {g.shape} and {h.shape} and weights {w.shape} do not fit.")
    if not w.sum() > 0:
        raise ValueError("no feature has a weight.")
    if comb(len(g) + len(h), len(g)) > SPLITS:
        raise ValueError(f"{len(g)} against {len(h)} encoders can be split in more than {SPLITS:,} ways.")
    w = w / w.sum()
    by_row = (g.min(0) > h.max(0)) @ w
    blocks = by_row[1:]
    error = np.sqrt((len(blocks) - 1) * np.var(blocks)) if len(blocks) > 1 else np.nan
    whole = np.concatenate([g[:, 0], h[:, 0]])
    return PositiveShare(float(by_row[0]), float(error), float(np.mean(_of_splits(whole, len(g), w))))


def _of_splits(rho: NDArray[np.float64], chosen: int, weights: NDArray[np.float64]) -> list[float]:
    found = []
    for members in combinations(range(len(rho)), chosen):
        inside = np.zeros(len(rho), bool)
        inside[list(members)] = True
        found.append(float((rho[inside].min(0) > rho[~inside].max(0)) @ weights))
    return found
