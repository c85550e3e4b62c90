"""Where the variation of a comparison comes from: seeds of the source, seeds of the target, samples, encoders.

The values y_st of one cell (source A, target B) under S_A seeds of the source and S_B of the target are

    y_st = mu_AB + a_s + b_t + e_st

with a, b and e random and independent: the crossed two-way layout without replication. With the mean squares of its
analysis of variance, MS_A = S_B sum_s (y_s. - y..)^2 / (S_A - 1), MS_B likewise, and MS_E of the residuals with
(S_A - 1)(S_B - 1) degrees of freedom, the estimates

    var(e) = MS_E,  var(a) = (MS_A - MS_E) / S_B,  var(b) = (MS_B - MS_E) / S_A

are unbiased (Searle, Casella and McCulloch, Variance Components, 1992, chapter 4). Over many cells they are averaged,
and only their mean is kept from falling below 0. What samples add is the variance of the cell's mean over resampled
groups of samples, as it is common to all seeds, which see the same samples.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Components(NamedTuple):
    """Variances of one value, in squared units of the value."""

    source_seed: float
    """Of the source's seed (a)."""
    target_seed: float
    """Of the target's seed (b)."""
    pairing: float
    """Of what a pair of seeds has beyond both (e): also what samples and seeds do together."""
    sample: float
    """Of the samples, with the seeds held fixed."""
    encoders: float
    """Of the true values mu of the cells: what a comparison wants to see. NaN for a single cell."""

    @property
    def total(self) -> float:
        """Variance of the value of a random cell under one random seed of each side."""
        return float(np.nansum(self))

    def noise(self, seeds: int) -> float:
        """Return the variance of a cell's mean over all pairs of so many seeds of each side, about its true value."""
        return (self.source_seed + self.target_seed) / seeds + self.pairing / seeds**2 + self.sample

    def smallest_difference(self, seeds: int) -> float:
        """Return 1.96 sqrt(2 noise(seeds)): of two equal cells, one pair in twenty differs by more.

        It holds for cells without a common encoder, whose noise is independent. Two cells of one source (or over the
        same samples) share part of theirs, which mostly makes their difference less noisy.
        """
        return 1.96 * math.sqrt(2 * self.noise(seeds))


def components(cells: Sequence[ArrayLike], sample: Sequence[float]) -> Components:
    """Return the variance components of cells over crossed seeds.

    Args:
        cells: of each cell the values (S_A, S_B), a row for each seed of the source, at least 2 x 2.
        sample: of each cell the variance of its mean over seeds when samples are drawn anew.

    Raises ValueError for no cell, fewer than two seeds of a side, values that are not finite, or lists of unlike
    length.
    """
    tables = [np.asarray(cell, np.float64) for cell in cells]
    if not tables or len(tables) != len(sample):
        raise ValueError(f"expected as many sample variances as cells, and one or more: {len(sample)}, {len(tables)}.")
    found = np.mean([_of_cell(table) for table in tables], axis=0)
    source, target, pairing = np.maximum(found, 0)
    of_samples = float(np.mean(sample))
    encoders = math.nan
    if len(tables) > 1:
        means = [table.mean() for table in tables]
        seeds = np.mean([
            source / table.shape[0] + target / table.shape[1] + pairing / table.size for table in tables
        ])  # fmt: skip
        encoders = max(float(np.var(means, ddof=1) - seeds - of_samples), 0.0)
    return Components(float(source), float(target), float(pairing), of_samples, encoders)


def _of_cell(table: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return unbiased estimates of var(a), var(b) and var(e), which may be below 0."""
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(f"a cell needs finite values of two or more seeds of each side, got shape {table.shape}.")
    rows, columns = table.shape
    by_row, by_column, mean = table.mean(1), table.mean(0), table.mean()
    residual = table - by_row[:, None] - by_column + mean
    error = float((residual**2).sum()) / ((rows - 1) * (columns - 1))
    of_rows, of_columns = float(np.var(by_row, ddof=1)), float(np.var(by_column, ddof=1))
    return of_rows - error / columns, of_columns - error / rows, error
