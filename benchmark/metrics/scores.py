"""A weighted sum of cells of a matrix of encoders with the noise of seeds and samples, though cells share both.

T = sum_c w_c mean(y_c) over cells c = (source, target), y_c (S_A, S_B) their values under crossed seeds. A seed s of
encoder E moves T by

    e_Es = sum_{c from E} w_c (y_c,s. - y_c..) + sum_{c to E} w_c (y_c,.s - y_c..)

through all cells that its dictionary takes part in, and seeds of different encoders are independent, so the seeds'
variance of T is sum_E sum_s e_Es^2 / (S_E (S_E - 1)). The samples' variance is that of T over resampled groups, drawn
alike for all cells. The degrees of freedom are Satterthwaite's (1946), with S_E - 1 for each encoder.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Cell = tuple[str, str]
"""Source and target."""


class Estimate(NamedTuple):
    """A value with its standard error."""

    value: float
    error: float
    """Standard error: of seeds and samples."""
    freedom: float
    """Degrees of freedom of the error."""

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval by Student's t."""
        from scipy.stats import t

        half = float(t.ppf(0.5 + level / 2, self.freedom)) * self.error
        return self.value - half, self.value + half

    def minus(self, other: "Estimate") -> "Estimate":
        """Return the difference from an independent estimate."""
        parts = self.error**2, other.error**2
        below = parts[0] ** 2 / self.freedom + parts[1] ** 2 / other.freedom
        total = sum(parts)
        return Estimate(self.value - other.value, total**0.5, total**2 / below if below else np.inf)


def linear_score(
    values: Mapping[Cell, NDArray[np.float64]],
    draws: Mapping[Cell, NDArray[np.float64]],
    weights: Mapping[Cell, float] | None = None,
) -> Estimate:
    """Return a weighted sum of cells, by default their mean, with its standard error.

    Args:
        values: of each cell (S_A, S_B), seeds of the source in rows; two seeds or more of every encoder.
        draws: of each cell (S_A, S_B, R) resampled values; draw r uses the same groups in all cells.
        weights: of each cell.

    Raises ValueError for no cell, or fewer than two seeds.
    """
    if not values or min(min(table.shape) for table in values.values()) < 2:
        raise ValueError("a score needs one or more cells of two or more seeds of each side.")
    chosen = weights or dict.fromkeys(values, 1 / len(values))
    effects: dict[str, NDArray[np.float64]] = {}
    total, resampled = 0.0, np.zeros(next(iter(draws.values())).shape[-1])
    for (source, target), weight in chosen.items():
        table = values[source, target]
        mean = table.mean()
        total += weight * float(mean)
        resampled += weight * draws[source, target].mean((0, 1))
        for name, by_seed in ((source, table.mean(1)), (target, table.mean(0))):
            effects[name] = effects.get(name, np.zeros(len(by_seed))) + weight * (by_seed - mean)
    parts = [(float((effect**2).sum()) / (len(effect) * (len(effect) - 1)), len(effect) - 1)
             for effect in effects.values()]  # fmt: skip
    parts.append((float(np.var(resampled, ddof=1)), len(resampled) - 1))
    variance = sum(part for part, _ in parts)
    below = sum(part**2 / freedom for part, freedom in parts)
    return Estimate(total, variance**0.5, variance**2 / below if below else np.inf)
