"""Where training starts: at which b_dec, and by what the activations are multiplied while it lasts."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.sae.settings import TrainConfig

SAMPLE = 16_384
"""Vectors that are enough to estimate both: a mean is then off by a standard deviation / 128."""
TOLERANCE, ITERATIONS = 1e-6, 200


class Start(NamedTuple):
    """What training starts from."""

    b_dec: NDArray[np.float64] | None
    """(d,), in the units of the activations; None: 0."""
    scale: float
    """Factor of the activations in training; 1 without `normalize`."""


def start(vectors: NDArray[np.float32], config: TrainConfig) -> Start:
    """Return b_dec and scale for an SAE that trains on vectors like these, (n, d); n of `SAMPLE` are enough.

    The scale gives the vectors a mean squared distance of d from their mean, about what layer norm would; vectors that
    are all equal have none, and keep theirs.
    """
    if config.b_dec == "zero" and not config.normalize:
        return Start(None, 1.0)
    x = np.asarray(vectors, np.float64)
    mean = x.mean(0)
    square = float(np.square(x - mean).sum(1).mean())
    scale = float(np.sqrt(x.shape[1] / square)) if config.normalize and square else 1.0
    found = {"zero": None, "mean": mean}.get(config.b_dec) if config.b_dec != "median" else geometric_median(x)
    return Start(found, scale)


def geometric_median(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the point (d,) with the least sum of distances from vectors (n, d): an outlier moves it little.

    Weiszfeld's iteration from the mean, in float64, with the change of Vardi and Zhang (2000, PNAS 97:1423) that
    takes it away from a vector that is not the median; it ends when a step is below 1e-6 of the mean distance.
    """
    x = np.asarray(vectors, np.float64)
    median = x.mean(0)
    for _ in range(ITERATIONS):
        distances = np.linalg.norm(x - median, axis=1)
        spread = distances.mean()
        far = distances > 1e-12 * spread
        if not far.any():
            return median
        weights = 1 / distances[far]
        pull = weights @ (x[far] - median)
        at = len(x) - int(far.sum())  # vectors at the present point: they hold it with this force
        force = float(np.linalg.norm(pull))
        if force <= at:
            return median
        move = (1 - at / force) * pull / weights.sum()
        median = median + move
        if np.linalg.norm(move) < TOLERANCE * spread:
            break
    return median
