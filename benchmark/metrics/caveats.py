"""When a table of wMPPC values must be read with care, and how many decimals it supports."""

import numpy as np
from numpy.typing import ArrayLike

ENOUGH_SAMPLES = 2000
"""Below this many groups of samples not even the corrected values recover planted sharing."""
HIGH_CHANCE = 0.5


def caveats(n_groups: ArrayLike, chance: ArrayLike) -> list[str]:
    """Return sentences that say why values must be read with care, if they must.

    Args:
        n_groups: number of groups of samples of each value: five captions of one image count once.
        chance: chance level of each value (NaN where there is none).
    """
    found = []
    fewest, levels = np.min(np.asarray(n_groups)), np.asarray(chance, np.float64)
    if fewest < ENOUGH_SAMPLES:
        found.append(
            f"Only {fewest:,.0f} independent samples: below {ENOUGH_SAMPLES:,} no measure recovers how much is shared. "
            "Compare more samples before you draw a conclusion."
        )
    high = levels > HIGH_CHANCE
    if high.any():
        found.append(
            f"The chance level is above {HIGH_CHANCE} in {high.sum()} of {levels.size} cells "
            f"(up to {np.nanmax(levels):.2f}): unrelated features reach that much, so the naive values say little."
        )
    return found


def decimals(n_groups: ArrayLike) -> int:
    """Return how many decimals the number of groups of samples supports."""
    return 3 if np.min(np.asarray(n_groups)) >= ENOUGH_SAMPLES else 2
