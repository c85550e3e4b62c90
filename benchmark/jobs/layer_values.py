"""One number for two encoders whose layers were compared: of all layers together, or of the last ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.jobs.layer_pairs import LayerMatrices

Array = NDArray[np.float64]
ALL, LAST = "all", "last"


@dataclass(frozen=True)
class Value:
    """A similarity in all its forms; draws (R,) are of the cross-fitted one."""

    naive: float
    chance: float
    crossfit: float
    draws: Array

    @property
    def calibrated(self) -> float:
        """The naive value above chance, as a part of what is possible."""
        return max((self.naive - self.chance) / (1 - self.chance), 0.0) if self.chance < 1 else self.chance

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the cross-fitted value."""
        if not len(self.draws):
            return float("nan"), float("nan")
        low, high = np.quantile(self.draws, [0.025, 0.975])
        return float(low), float(high)

    def minus(self, other: "Value") -> "Value":
        """Return the difference, draw by draw."""
        return Value(
            self.naive - other.naive, self.chance - other.chance, self.crossfit - other.crossfit,
            self.draws - other.draws,
        )  # fmt: skip


def value_of(found: LayerMatrices, layers: str) -> Value:
    """Return the value of all layers together, or of the last against the last."""
    if layers == ALL:
        return Value(found.naive_overall, float(found.null("overall_null")), found.overall, found.drawn("overall"))
    last = (-1, -1)
    return Value(
        float(found.naive[last]), float(found.null("cell_null")[last]), float(found.cells[last]),
        found.drawn("cells")[:, -1, -1],
    )  # fmt: skip


def mean_value(values: Sequence[Value]) -> Value:
    """Return the mean over pairs of encoders, draw by draw."""
    naive, chance, crossfit = (
        float(np.mean([getattr(value, name) for value in values])) for name in ("naive", "chance", "crossfit")
    )
    return Value(naive, chance, crossfit, np.mean([value.draws for value in values], axis=0))
