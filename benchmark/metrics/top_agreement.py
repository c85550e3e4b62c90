"""Do two seeds name the same features as the most shared ones? Agreement of their top lists, against chance given S."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOP = 0.01
"""Share of the features on a top list, as in arXiv 2507.18512."""
CLASSES = 10
"""Classes of weight within which the null shuffles: features of like weight could take each other's place."""


class TopAgreement(NamedTuple):
    """How far the top features of one seed are on the top list of another."""

    share: float
    """Share of the first list's features whose partner is on the second list."""
    by_chance: float
    """Its mean where features of like weight S exchange their difference of squared correlations at random."""
    p_value: float
    """(1 + draws at or above the share) / (1 + draws)."""
    correlation: float
    """Spearman's correlation of Delta with the partners' Delta, over features that have a partner."""


def squares_apart(shared: Sequence[ArrayLike], absent: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Return min_g rho_g^2 - max_h rho_h^2 (m,), Delta without its factor S; correlations below 0 count as 0.

    shared and absent hold the correlations (m,) with each encoder of G and of H.
    """
    g, h = (np.maximum(np.stack([np.asarray(rho, np.float64) for rho in part]), 0) ** 2 for part in (shared, absent))
    return g.min(0) - h.max(0)


def top_features(delta: ArrayLike, share: float = TOP) -> NDArray[np.int64]:
    """Return the features with the highest Delta, best first: ceil(share * m) of those above 0, or fewer."""
    values = np.asarray(delta, np.float64)
    order = np.argsort(-values, kind="stable")[: int(np.ceil(share * len(values)))]
    return order[values[order] > 0]


def top_agreement(
    difference: tuple[ArrayLike, ArrayLike],
    weights: tuple[ArrayLike, ArrayLike],
    partner: ArrayLike,
    *,
    share: float = TOP,
    draws: int = 199,
    seed: int = 0,
) -> TopAgreement:
    """Compare the top lists of Delta_i = S_i difference_i of two seeds.

    Delta's factor S alone already makes lists alike, as frequent features are found under every seed. The null keeps S
    and shuffles the difference of squares within ten classes of weight, on both sides.

    Args:
        difference: (m,) and (n,) min_g rho^2 - max_h rho^2 of each seed's features.
        weights: (m,) and (n,) their S.
        partner: (m,) feature of the second seed that each of the first corresponds to; -1: none.
        share: of the features on a top list.
        draws: of the null.
        seed: of the null.

    Raises ValueError for arrays that do not fit or are not finite, or fewer than one draw. All is NaN where the first
    seed has no positive Delta.
    """
    first, second = (np.asarray(part, np.float64) for part in difference)
    s, t = (np.asarray(part, np.float64) for part in weights)
    other = np.asarray(partner, np.int64)
    if first.shape != s.shape or second.shape != t.shape or other.shape != first.shape or first.ndim != 1:
        raise ValueError(
            f"differences {first.shape}, {second.shape} do not fit weights {s.shape}, {t.shape} and partners "
            f"{other.shape}."
        )
    if not all(np.isfinite(part).all() for part in (first, second, s, t)):
        raise ValueError("differences and weights must be finite.")
    if draws < 1:
        raise ValueError(f"at least one draw is needed, got {draws}.")
    observed = _agreement(first * s, second * t, other, share)
    if np.isnan(observed):
        return TopAgreement(np.nan, np.nan, np.nan, np.nan)
    rng, classes = np.random.default_rng(seed), (_classes(s), _classes(t))
    null = np.array([
        _agreement(_shuffled(first, classes[0], rng) * s, _shuffled(second, classes[1], rng) * t, other, share)
        for _ in range(draws)
    ])  # fmt: skip
    null = null[~np.isnan(null)]  # a draw may leave no feature above 0
    has = (other >= 0) & (s > 0)
    p_value = (1 + int((null >= observed).sum())) / (1 + len(null)) if len(null) else np.nan
    by_chance = float(null.mean()) if len(null) else np.nan
    return TopAgreement(observed, by_chance, p_value, _spearman((first * s)[has], (second * t)[other[has]]))


def _agreement(delta: NDArray, other_delta: NDArray, partner: NDArray[np.int64], share: float) -> float:
    own = partner[top_features(delta, share)]
    return float(np.isin(own[own >= 0], top_features(other_delta, share)).sum() / len(own)) if len(own) else np.nan


def _classes(weights: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Return active features in ten classes by weight; those never active have a Delta of 0 and take no part."""
    active = np.flatnonzero(weights > 0)
    return np.array_split(active[np.argsort(weights[active], kind="stable")], CLASSES)


def _shuffled(values: NDArray[np.float64], classes: list[NDArray[np.int64]], rng: np.random.Generator) -> NDArray:
    out = values.copy()
    for members in classes:
        out[members] = values[rng.permutation(members)]
    return out


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    from scipy.stats import rankdata

    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
