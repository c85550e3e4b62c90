"""Do matched features lie in the same geometry? Measures between two lists of vectors of which row i belongs to row i.

For SAEs the rows are decoder directions of matched features: `x = W_dec_a[live]`, `y = W_dec_b[match[live]]` with the
match of `max_correlation` (Lan et al., arXiv 2410.06981). None of them is 0 for unrelated vectors, so `paired_null`
gives their value under random pairing.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class PairedNull(NamedTuple):
    """A measure of paired vectors against random pairings of the same vectors."""

    value: float
    null: NDArray[np.float64]
    """(K,) values under random pairings."""
    p_value: float
    """(1 + #{null >= value}) / (K + 1)."""


def svcca(x: ArrayLike, y: ArrayLike, variance: float = 0.99) -> float:
    """Return the mean canonical correlation of x (p, d) and y (p, e) after a singular value decomposition.

    Raghu et al. (NeurIPS 2017): both sides are centred and reduced to the directions that hold `variance` of theirs;
    the mean is over the smaller number of directions. It is 1 for any vectors when p is not above d + e: use many more
    pairs than dimensions.

    Raises ValueError for arrays that do not fit or are not finite, a side without variance, or a variance outside
    (0, 1].
    """
    if not 0 < variance <= 1:
        raise ValueError(f"variance must be above 0 and at most 1, got {variance}.")
    bases = [_basis(part, variance) for part in _paired(x, y)]
    canonical = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    return float(np.minimum(canonical, 1).mean())


def rsa(x: ArrayLike, y: ArrayLike) -> float:
    """Return the rank correlation of the dissimilarities among x (p, d) with those among y (p, e).

    Representational similarity analysis of Kriegeskorte, Mur and Bandettini (2008): dissimilarity is 1 - Pearson's
    correlation between two rows, compared over all pairs of rows by Spearman's correlation; 8 p^2 bytes a side.

    Raises ValueError for arrays that do not fit or are not finite, fewer than 3 rows, or a row without variance.
    """
    from scipy.stats import rankdata

    sides = _paired(x, y)
    if len(sides[0]) < 3:
        raise ValueError(f"at least 3 pairs are needed, got {len(sides[0])}.")
    upper = np.triu_indices(len(sides[0]), 1)
    ranks = []
    for part in sides:
        rows = part - part.mean(1, keepdims=True)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        if (length == 0).any():
            raise ValueError(f"row {int(np.argmin(length))} has one value throughout, so it correlates with nothing.")
        rows = rows / length
        ranks.append(rankdata(-(rows @ rows.T)[upper]))
    return float(np.corrcoef(*ranks)[0, 1])


def paired_null(
    measure: Callable[[ArrayLike, ArrayLike], float], x: ArrayLike, y: ArrayLike, *, draws: int = 19, seed: int = 0
) -> PairedNull:
    """Return a measure of x and y, and its values when the rows of y are shuffled.

    Raises ValueError for fewer than one draw, and whatever the measure raises.
    """
    if draws < 1:
        raise ValueError(f"at least one draw is needed, got {draws}.")
    rng, vectors = np.random.default_rng(seed), np.asarray(y)
    value = measure(x, vectors)
    null = np.array([measure(x, vectors[rng.permutation(len(vectors))]) for _ in range(draws)])
    return PairedNull(value, null, (1 + int((null >= value).sum())) / (draws + 1))


def _basis(part: NDArray[np.float64], variance: float) -> NDArray[np.float64]:
    """Return orthonormal directions (p, c) of the samples that hold `variance` of the centred part's variance."""
    left, singular, _ = np.linalg.svd(part - part.mean(0), full_matrices=False)
    power = np.cumsum(singular**2)
    if not power[-1] > 0:
        raise ValueError("canonical correlations are not defined where one side's vectors are all equal.")
    return left[:, : int(np.searchsorted(power, variance * power[-1] * (1 - 1e-12)) + 1)]


def _paired(x: ArrayLike, y: ArrayLike) -> list[NDArray[np.float64]]:
    sides = [np.asarray(part, np.float64) for part in (x, y)]
    if any(part.ndim != 2 or not part.size for part in sides) or len(sides[0]) != len(sides[1]):
        raise ValueError(f"expected paired vectors (p, d) and (p, e), got {sides[0].shape} and {sides[1].shape}.")
    if not all(np.isfinite(part).all() for part in sides):
        raise ValueError("paired vectors must be finite.")
    return sides
