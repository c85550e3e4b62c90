"""Stricter readings of "found again" than a maximum: partners that choose each other, and one-to-one partners."""

import numpy as np

from benchmark.features import Features
from benchmark.metrics.correlation import MaxCorrelation
from benchmark.metrics.sharded import correlations
from benchmark.metrics.wmppc import wmppc


def mutual_best_share(rho: MaxCorrelation) -> float:
    """Return the share of live source features whose best partner's best partner they are, from `max_correlation`.

    1 for an encoder against itself, unless live features are copies of each other: the lowest index is the partner of
    all. It is far from 0 where nothing is shared: among m x n correlations that are independent and alike, an entry
    is the highest of its row and its column with probability 1 / (m + n - 1), so the expected share is n / (m + n - 1),
    one half for equal dictionaries. Show it beside its value for shuffled samples.

    Raises ValueError when no source feature is live.
    """
    live = np.flatnonzero(rho.source_match >= 0)
    if not len(live):
        raise ValueError("no source feature is live, so the share of mutual partners is not defined.")
    return float(np.mean(rho.target_match[rho.source_match[live]] == live))


def one_to_one_wmppc(source: Features, target: Features) -> float:
    """Return the highest sum_i S_i r_i,p(i) / sum_i S_i over all one-to-one assignments p of partners.

    wMPPC lets many source features share one partner; here a partner serves one feature, so a dictionary that splits
    a concept into many features finds only one of them again. Features left without a partner, or with one that
    correlates below 0, count 0. At most the naive wMPPC, and equal to it where all maxima have different partners. The
    assignment is the Hungarian one, exact; it makes all m x n correlations (151 MB at 6,144).

    Raises ValueError when the layers do not belong to the same samples or no source feature is active.
    """
    from scipy.optimize import linear_sum_assignment

    weights = source.weights
    gain = np.maximum(correlations(source, target), 0).astype(np.float64)
    scale = weights / max(weights.max(), np.finfo(np.float64).tiny)
    rows, columns = linear_sum_assignment(gain * scale[:, None], maximize=True)
    rho = np.zeros(source.n_latents)
    rho[rows] = gain[rows, columns]
    return wmppc(rho, weights)
