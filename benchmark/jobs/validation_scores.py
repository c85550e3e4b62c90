"""The score that validation judges rankings by: the AUC."""

import numpy as np
from numpy.typing import ArrayLike


def auc(positives: ArrayLike, negatives: ArrayLike) -> float:
    """Return the probability that a positive has a higher score than a negative, a tie counting half."""
    ordered = np.sort(np.asarray(negatives, np.float64))
    below = np.searchsorted(ordered, positives, "left") + np.searchsorted(ordered, positives, "right")
    return float(np.mean(below) / (2 * len(ordered)))
