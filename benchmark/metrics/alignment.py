"""Similarity of raw activations over the same samples, without an SAE in between: what wMPPC is shown beside.

Every function takes two arrays (N, d) and (N, e) with samples in the same order.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK_BYTES = 128 << 20


def linear_cka(x: ArrayLike, y: ArrayLike) -> float:
    """Return the linear centred kernel alignment of x (N, d) and y (N, e) with the unbiased estimate of HSIC.

    HSIC_1 of Song et al. (JMLR 2012, equation 5) in the ratio of Kornblith et al. (ICML 2019), as Nguyen, Raghu and
    Kornblith (ICLR 2021) use it: the expectation of HSIC_1 is 0 for independent x and y, whatever N, d and e, so a
    sample may give a value below 0. It costs N d e operations: the (N, N) kernel matrices are never made.

    Raises ValueError for fewer than 4 samples, arrays that do not fit, values that are not finite, or an array whose
    rows are all equal.
    """
    a, b = _pair(x, y, least=4)
    a, b = a - a.mean(0), b - b.mean(0)  # HSIC_1 does not depend on it, its rounding does
    own = _hsic(a, a) * _hsic(b, b)
    if not own > 0:
        raise ValueError("linear CKA is not defined where one side does not vary over the samples.")
    return _hsic(a, b) / float(np.sqrt(own))


def _hsic(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return Song et al.'s unbiased HSIC of linear kernels whose diagonals are set to 0."""
    n = len(a)
    diagonals = [(part * part).sum(1) for part in (a, b)]
    rows = [part @ part.sum(0) - diagonal for part, diagonal in zip((a, b), diagonals, strict=True)]
    trace = ((a.T @ b) ** 2).sum() - diagonals[0] @ diagonals[1]
    total = trace + rows[0].sum() * rows[1].sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (rows[0] @ rows[1])
    return float(total / (n * (n - 3)))


def mutual_knn(x: ArrayLike, y: ArrayLike, k: int = 10) -> float:
    """Return the mean share of each sample's k nearest neighbours in x that are among its k nearest in y.

    Huh et al. (ICML 2024, "The Platonic Representation Hypothesis", section 2): neighbours by cosine similarity, the
    sample itself excluded. Where x and y are unrelated its expectation is exactly k / (N - 1). Of equally near
    samples the ones with the lowest indices count, so the result is deterministic.

    Raises ValueError for arrays that do not fit, a k that is not below N, or values that are not finite.
    """
    a, b = _pair(x, y, least=2)
    n = len(a)
    if not 1 <= k < n:
        raise ValueError(f"k must be between 1 and N - 1 = {n - 1}, got {k}.")
    a, b = (_unit_rows(part) for part in (a, b))
    shared = 0
    rows = max(1, BLOCK_BYTES // (16 * n))
    for start in range(0, n, rows):
        own = np.arange(start, min(start + rows, n))
        near = [_nearest(part, own, k) for part in (a, b)]
        shared += int((near[0] & near[1]).sum())
    return shared / (n * k)


def _nearest(x: NDArray[np.float64], rows: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    """Return (rows, N): which samples are among the k nearest of each row's sample."""
    similarity = x[rows] @ x.T
    similarity[np.arange(len(rows)), rows] = -np.inf
    limit = -np.partition(-similarity, k - 1, axis=1)[:, k - 1 : k]
    chosen = similarity > limit
    room = k - chosen.sum(1, keepdims=True)
    ties = similarity == limit
    return chosen | (ties & (ties.cumsum(1) <= room))


def _unit_rows(x: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)


def _pair(x: ArrayLike, y: ArrayLike, least: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ValueError(f"expected two arrays (N, d) and (N, e) over the same samples, got {a.shape} and {b.shape}.")
    if len(a) < least:
        raise ValueError(f"at least {least} samples are needed, got {len(a)}.")
    for name, part in (("first", a), ("second", b)):
        if not np.isfinite(part).all():
            raise ValueError(f"the {name} array holds a value that is not finite.")
    return a, b
