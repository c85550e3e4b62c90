"""What each sample adds to the linear CKA of two sets of vectors: a baseline without SAEs for `contributions`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def cka_contributions(x: ArrayLike, y: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    """Return the linear CKA of x (N, d) and y (N, e), and (N,) how much it falls without each sample, exactly.

    CKA = |X'Y|^2 / (|X'X| |Y'Y|) of centred vectors (Kornblith et al., ICML 2019, equation 5), whose matrices change by
    one outer product when a sample leaves: X'Y - n / (n - 1) x y'. Its biased form, as the bias hardly differs between
    samples. Costs N d e operations.

    Raises ValueError for fewer than 3 samples, arrays that do not fit, or a side that does not vary.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b) or len(a) < 3:
        raise ValueError(f"expected vectors (N, d) and (N, e) of at least 3 samples, got {a.shape} and {b.shape}.")
    a, b = a - a.mean(0), b - b.mean(0)
    pairs = [_without_each(p, q) for p, q in ((a, b), (a, a), (b, b))]
    (cross, cross_left), (own, own_left), (other, other_left) = pairs
    if not own * other > 0:
        raise ValueError("linear CKA is not defined where one side does not vary over the samples.")
    value = cross / np.sqrt(own * other)
    product = own_left * other_left
    left = np.where(product > 0, cross_left / np.sqrt(np.where(product > 0, product, 1)), value)
    return float(value), value - left


def _without_each(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return |A'B|^2, and (N,) the same without each sample."""
    c = len(a) / (len(a) - 1)
    product = a.T @ b
    whole = float((product**2).sum())
    return whole, whole - 2 * c * ((a @ product) * b).sum(1) + c**2 * (a**2).sum(1) * (b**2).sum(1)
