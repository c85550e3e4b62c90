"""Features in ten classes by how often they fire."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

DECILES = 10


def frequency_deciles(counts: ArrayLike) -> NDArray[np.int64]:
    """Return the decile (m,) of each feature among those that fire at all: 0 the rarest, 9 the most frequent, -1 never.

    counts (m,) is on how many samples each feature is active. Deciles differ by one feature at most; features that fire
    equally often are told apart by their index.
    """
    found = np.asarray(counts)
    active = np.flatnonzero(found > 0)
    out = np.full(len(found), -1)
    out[active[np.argsort(found[active], kind="stable")]] = np.arange(len(active)) * DECILES // max(len(active), 1)
    return out
