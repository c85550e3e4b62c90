"""Whether a value changed between two datasets by more than seeds and samples explain.

A value belongs to a seed of the source and a seed of the target, so both datasets have a matrix of values (S, T) over
the same seeds. The change is the mean of their difference D. Its variance has two parts, both taken from the pairing:

- seeds: the jackknife over the seeds of the source plus that over those of the target,
  (S - 1)/S sum_s (mean of D without s - its mean over s)^2 and likewise over t (of one encoder with itself, both at
  once, as leaving out a seed leaves out its row and its column). This counts the interaction of the two twice, which
  errs on the safe side. Two seeds say little of one change, so these variances are pooled over all changes of a kind.
- samples: the variance of resampled differences; where the datasets hold the same samples, the same groups are drawn
  for both, and what is common to both falls out.

change / sqrt(pooled seeds + samples) is compared with Student's t; see `freedom`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.metrics.significance import benjamini_hochberg


class Change(NamedTuple):
    """How a value changed between two datasets."""

    change: float
    """Mean of the differences over pairs of seeds."""
    seed_variance: float
    """Of `change`, from these seeds alone; NaN where there are too few (one; of one encoder with itself two)."""
    sample_variance: float
    """Of `change`, with the seeds as they are; NaN without resampled values."""
    fixed: bool
    """The two datasets have the same values throughout: nothing that was measured differs between them."""


def change_between(
    plain: ArrayLike, variant: ArrayLike, drawn: ArrayLike | None = None, *, own: bool = False
) -> Change:
    """Return the change from the values (S, T) of one dataset to those of another.

    Args:
        plain: values by seed of the source and of the target; NaN where there is none.
        variant: the same seeds on the other dataset.
        drawn: (R, S, T) differences of resampled values (variant less plain); None: not known.
        own: source and target are one encoder, whose seeds are the rows and the columns.

    Raises ValueError for shapes that differ or without any value.
    """
    one, other = np.asarray(plain, np.float64), np.asarray(variant, np.float64)
    if one.ndim != 2 or one.shape != other.shape:
        raise ValueError(f"expected two matrices of values over the same seeds, got {one.shape} and {other.shape}.")
    difference = other - one
    there = np.isfinite(difference)
    if not there.any():
        raise ValueError("there is no pair of seeds with a value on both datasets.")
    if own:
        variance = _jackknife([np.delete(np.delete(difference, s, 0), s, 1) for s in range(len(difference))])
    else:
        variance = _jackknife([np.delete(difference, s, 0) for s in range(difference.shape[0])]) + _jackknife(
            [np.delete(difference, t, 1) for t in range(difference.shape[1])]
        )
    samples = float("nan") if drawn is None else float(np.asarray(drawn)[:, there].mean(1).var(ddof=1))
    return Change(float(difference[there].mean()), variance, samples, bool((difference[there] == 0).all()))


class Judged(NamedTuple):
    """Changes against their noise."""

    error: NDArray[np.float64]
    """(C,) standard error: seeds pooled over the changes of a kind, and samples; NaN where seeds are not known."""
    p_value: NDArray[np.float64]
    """(C,) two-sided; NaN without an error, and for fixed changes, which are no test."""
    q_value: NDArray[np.float64]
    """(C,) adjusted for the number of p-values (Benjamini and Hochberg)."""
    half_width: NDArray[np.float64]
    """(C,) of the 95 % interval."""


def freedom(encoders: int, seeds: int, variants: int) -> float:
    """Return the degrees of freedom of a seed variance that is pooled over the changes of encoders on variants.

    Changes that share an encoder's dictionaries share their noise, so it is encoders (S - 1) that count, not changes;
    and all V variants share the plain data's dictionaries: their changes correlate by 1/2, hence their estimates of
    the variance by 1/4, and the mean of V of them is worth V / (1 + (V - 1)/4).
    """
    return encoders * (seeds - 1) * variants / (1 + (variants - 1) / 4)


def judge(changes: list[Change], kinds: list[str], degrees: dict[str, float]) -> Judged:
    """Return every change against the noise of its kind.

    Args:
        changes: C of them.
        kinds: of each, what its seed variance is pooled by.
        degrees: of freedom of each kind.

    Raises ValueError for lists that do not fit.
    """
    from scipy.stats import t

    if len(changes) != len(kinds) or not set(kinds) <= set(degrees):
        raise ValueError(f"{len(changes)} changes of {len(kinds)} kinds, of which {sorted(degrees)} are known.")
    table = np.array([[c.change, c.seed_variance, c.sample_variance] for c in changes]).reshape(-1, 3)
    fixed, names = np.array([c.fixed for c in changes], bool), np.array(kinds)
    variance = np.full(len(table), np.nan)
    for kind in dict.fromkeys(kinds):
        members = (names == kind) & ~fixed & np.isfinite(table[:, 1])
        if members.any():
            variance[names == kind] = table[members, 1].mean()
    error = np.sqrt(variance + np.nan_to_num(table[:, 2]))
    df = np.array([max(degrees[kind], 1) for kind in kinds])
    known = ~fixed & np.isfinite(error) & (error > 0)
    p, q = np.full(len(table), np.nan), np.full(len(table), np.nan)
    p[known] = 2 * t.sf(np.abs(table[known, 0]) / error[known], df[known])
    q[known] = benjamini_hochberg(p[known])
    half = np.where(fixed, 0.0, t.ppf(0.975, df) * error)
    return Judged(np.where(fixed, 0.0, error), p, q, half)


def _jackknife(parts: list[NDArray[np.float64]]) -> float:
    """Return (S - 1)/S times the sum of squared deviations of the means of the S parts; NaN if one has no value."""
    means = [part[np.isfinite(part)].mean() for part in parts if np.isfinite(part).any()]
    if len(means) < max(len(parts), 2):
        return float("nan")
    return float((len(means) - 1) / len(means) * ((np.array(means) - np.mean(means)) ** 2).sum())
