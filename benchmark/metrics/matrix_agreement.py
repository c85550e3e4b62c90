"""Are two matrices over the same encoders alike? Against permuted encoders, and beyond noise."""

from itertools import permutations
from math import factorial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

EXACT = 5040
"""Most permutations that are all tried: those of seven encoders."""
DRAWS = 1999


class MatrixAgreement(NamedTuple):
    """How alike the off-diagonal cells of two matrices are."""

    correlation: float
    """Pearson's."""
    p_value: float
    """Share of the permutations of the second matrix's encoders, the observed order among them, that reach it."""


def mantel(first: ArrayLike, second: ArrayLike, *, seed: int = 0) -> MatrixAgreement:
    """Correlate the off-diagonal cells of two matrices (n, n) over the same encoders in the same order.

    Cells that share an encoder are not independent, so the null permutes encoders, rows and columns alike (Mantel,
    1967): all orders of up to seven encoders, 1,999 random ones of more. With three encoders p is at least 1/6.

    Raises ValueError for matrices that do not fit or are not finite off the diagonal, or fewer than 3 encoders.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.shape[0] != a.shape[1] or len(a) < 3:
        raise ValueError(f"expected two square matrices of 3 or more encoders, got {a.shape} and {b.shape}.")
    n = len(a)
    off = ~np.eye(n, dtype=bool)
    if not (np.isfinite(a[off]).all() and np.isfinite(b[off]).all()):
        raise ValueError("cells must be finite.")
    observed = _correlation(a[off], b[off])
    orders: list[NDArray[np.int64]]
    if factorial(n) <= EXACT:
        orders = [np.array(order) for order in permutations(range(n))]
    else:
        rng = np.random.default_rng(seed)
        orders = [np.arange(n), *(rng.permutation(n) for _ in range(DRAWS))]
    null = np.array([_correlation(a[off], b[np.ix_(order, order)][off]) for order in orders])
    return MatrixAgreement(observed, float((null >= observed - 1e-12).mean()))


def sd_beyond_noise(differences: ArrayLike, errors: ArrayLike) -> float:
    """Return the standard deviation of true differences (C,), given their estimates and standard errors (C,).

    sqrt(variance of the estimates - mean squared error), 0 where the noise explains all of it; errors common to all
    cells make it too low. Raises ValueError for fewer than 2 differences.
    """
    d, e = np.asarray(differences, np.float64), np.asarray(errors, np.float64)
    if d.shape != e.shape or d.ndim != 1 or len(d) < 2:
        raise ValueError(f"expected two or more differences and their errors, got {d.shape} and {e.shape}.")
    return max(float(np.var(d, ddof=1) - np.mean(e**2)), 0.0) ** 0.5


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) > 0 and np.ptp(y) > 0 else 0.0
