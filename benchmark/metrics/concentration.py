"""Where a matrix of layers against layers has its mass: in the deepest quarter, on the diagonal, early or late.

Depth runs from 0, the first block, to 1, the deepest chosen layer, so that encoders of different length compare. Every
function takes one matrix (La, Lb) or a stack of resampled ones (R, La, Lb), so that an interval follows from the same
code as the value. Values below 0, which cross-fitting leaves where nothing is shared, count as 0 in shares.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Axis = Literal["source", "target", "both"]
AXES: tuple[Axis, ...] = ("both", "source", "target")
LATE = 0.75
"""Depth from which on a layer is in the last quarter."""


def depths(layers: Sequence[int]) -> NDArray[np.float64]:
    """Return the depth of each block index (L,): itself divided by the deepest one; 1 for a lone first block.

    Raises ValueError unless there are layers, ascending, none below 0.
    """
    found = np.asarray(layers, np.float64)
    if found.ndim != 1 or not len(found) or found[0] < 0 or (np.diff(found) <= 0).any():
        raise ValueError(f"layers must be ascending block indices from 0 on, got {list(layers)}.")
    return found / found[-1] if found[-1] > 0 else np.ones(1)


def late_cells(source: ArrayLike, target: ArrayLike, axis: Axis = "both") -> NDArray[np.bool_]:
    """Return (La, Lb): which cells lie in the last quarter of the source's layers, of the target's, or of both.

    source (La,) and target (Lb,) are depths.
    """
    rows, columns = np.asarray(source) >= LATE, np.asarray(target) >= LATE
    if axis == "both":
        return rows[:, None] & columns
    whole = np.ones((len(rows), len(columns)), bool)
    return whole & (rows[:, None] if axis == "source" else columns)


def share_within(values: ArrayLike, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of a matrix's mass (values above 0) that lies in the chosen cells; NaN where there is none.

    values (..., La, Lb), chosen (La, Lb). A flat matrix gives `chosen.mean()`.
    """
    mass = np.maximum(np.asarray(values, np.float64), 0)
    total = mass.sum((-2, -1))
    return np.divide((mass * chosen).sum((-2, -1)), total, out=np.full_like(total, np.nan), where=total > 0)


def maximum_within(values: ArrayLike, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return 1 where the highest cell of a matrix is a chosen one, else 0; of equal cells the first counts.

    values (..., La, Lb), chosen (La, Lb).
    """
    array = np.asarray(values, np.float64)
    flat = array.reshape(*array.shape[:-2], -1)
    return chosen.ravel()[flat.argmax(-1)].astype(np.float64)


class Diagonal:
    """How far a square matrix of layers against the same layers (..., L, L) keeps to its diagonal, for some rows.

    The rows are the source layers that are looked at, (L,) bools; all their columns count.
    """

    def __init__(self, values: ArrayLike, rows: ArrayLike):
        self._values, self._rows = np.asarray(values, np.float64), np.asarray(rows, bool)
        if self._values.ndim < 2 or self._values.shape[-1] != self._values.shape[-2] or self._values.shape[-1] < 2:
            raise ValueError(f"a square matrix of two or more layers is needed, got {self._values.shape}.")
        self._on = np.diagonal(self._values, axis1=-2, axis2=-1)
        self._length = self._values.shape[-1]

    def on(self) -> NDArray[np.float64]:
        """Return the mean of the diagonal."""
        return self._on[..., self._rows].mean(-1)

    def off(self) -> NDArray[np.float64]:
        """Return the mean of the other cells."""
        others = (self._values.sum(-1) - self._on) / (self._length - 1)
        return others[..., self._rows].mean(-1)

    def share(self) -> NDArray[np.float64]:
        """Return the mean over rows of the diagonal's share of the row's mass; 1/L where rows are flat."""
        mass = np.maximum(self._values, 0)
        total = mass.sum(-1)
        own = np.maximum(self._on, 0)
        shares = np.divide(own, total, out=np.full_like(total, np.nan), where=total > 0)
        return shares[..., self._rows].mean(-1)

    def hits(self) -> NDArray[np.float64]:
        """Return the share of rows whose highest cell is the diagonal one; 1/L by chance."""
        found = self._values.argmax(-1) == np.arange(self._length)
        return found[..., self._rows].mean(-1)
