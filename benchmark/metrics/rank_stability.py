"""Would another seed rank the same comparisons alike? Kendall's tau between the leaderboards of seeds."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class RankAgreement(NamedTuple):
    """How alike the leaderboards of S seeds are."""

    tau: NDArray[np.float64]
    """(S, S) Kendall's tau-b between the leaderboards of two seeds."""
    mean: float
    """Mean over pairs of seeds."""
    low: float
    """2.5 % point of the mean when seeds and groups of samples are resampled; samples alone where there are 2 seeds."""
    high: float
    """97.5 % point."""
    same_order: float
    """Share of the pairs of entries that stand in the same order under every seed."""


def rank_agreement(values: ArrayLike, draws: ArrayLike, *, seed: int = 0) -> RankAgreement:
    """Compare the leaderboards of seeds.

    Args:
        values: (S, C) value of each entry under each seed.
        draws: (S, C, R) their resampled values; draw r uses the same groups of samples for all of them.
        seed: of the resampling of seeds.

    Resampling adds the samples' noise a second time, so where entries nearly tie the interval lies low.

    Raises ValueError for fewer than 2 seeds or 2 entries, or arrays that do not fit or are not finite.
    """
    found, drawn = np.asarray(values, np.float64), np.asarray(draws, np.float64)
    if found.ndim != 2 or min(found.shape) < 2 or drawn.shape[:2] != found.shape or drawn.ndim != 3:
        raise ValueError(f"expected values (S, C) and draws (S, C, R) of 2 or more, got {found.shape}, {drawn.shape}.")
    if not np.isfinite(found).all() or not np.isfinite(drawn).all():
        raise ValueError("leaderboards must be finite.")
    rng, seeds = np.random.default_rng(seed), len(found)
    tau = _taus(found)
    means = []
    for r in range(drawn.shape[2]):
        of_draw = _taus(drawn[:, :, r])
        pairs: list[tuple[int, int]] = []
        while not pairs:  # all drawn seeds may be one
            pairs = [(a, b) for a, b in combinations(rng.integers(seeds, size=seeds).tolist(), 2) if a != b]
        means.append(np.mean([of_draw[pair] for pair in pairs]))
    low, high = np.quantile(means, [0.025, 0.975]) if means else (np.nan, np.nan)
    order = _signs(found)
    same = (order == order[0]).all(0) & (order[0] != 0)
    return RankAgreement(tau, _mean_of_pairs(tau), float(low), float(high), float(same.mean()))


def _signs(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each row (S, C) which of each two entries is the higher one, (S, C (C - 1) / 2) of -1, 0 and 1."""
    first, second = np.triu_indices(values.shape[1], 1)
    return np.sign(values[:, first] - values[:, second])


def _taus(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Kendall's tau-b between all rows (S, C); 0 with a row whose entries all tie."""
    signs = _signs(values)
    untied = (signs != 0).sum(1)
    return signs @ signs.T / np.sqrt(np.maximum(np.outer(untied, untied), 1))


def _mean_of_pairs(matrix: NDArray[np.float64]) -> float:
    return float(matrix[np.triu_indices(len(matrix), 1)].mean())
