"""Agreement of rankings: rank correlations, with and without controls, and how far two tops overlap."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TOP = 0.01
"""Share of features that Comparative Sharedness reports (arXiv 2507.18512, section 3)."""


def spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation of x and y (n,), ties sharing their mean rank; NaN without variance."""
    from scipy.stats import rankdata

    a, b = (rankdata(part) - (len(part) + 1) / 2 for part in (x, y))
    product = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / product if product > 0 else float("nan")


def partial_rank_correlation(
    x: NDArray[np.float64], y: NDArray[np.float64], controls: Sequence[NDArray[np.float64]]
) -> tuple[float, NDArray[np.float64]]:
    """Return the correlation of the ranks of x and y (n,) given the ranks of controls, and the residuals (2, n).

    Ranks of x and y are regressed on those of the controls by least squares and the residuals correlated: for one
    control, (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2)) with Spearman's correlations (Kendall 1942). 0 where a
    side has no variance left.
    """
    from scipy.stats import rankdata

    design = np.stack([np.ones(len(x)), *(rankdata(control) for control in controls)], 1)
    ranks = np.stack([rankdata(x), rankdata(y)], 1)
    left = (ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]).T
    length = np.linalg.norm(left, axis=1)
    if (length < 1e-9 * len(x) ** 1.5).any():  # of ranks up to n
        return 0.0, np.zeros_like(left)
    return float(left[0] @ left[1] / length.prod()), left


def top(x: NDArray[np.float64], share: float = TOP) -> NDArray[np.int64]:
    """Return the positions of the highest `share` of x (n,), at least one, the highest first; ties: lowest first."""
    return np.argsort(-x, kind="stable")[: max(round(share * len(x)), 1)]


def top_overlap(x: NDArray[np.float64], y: NDArray[np.float64], share: float = TOP) -> float:
    """Return which part of the top `share` of x (n,) is among the top `share` of y; chance gives about `share`."""
    return float(np.isin(top(x, share), top(y, share)).mean())
