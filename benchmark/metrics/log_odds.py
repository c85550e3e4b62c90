"""Which words of captions tell a feature: weighted log-odds with an informative Dirichlet prior.

Monroe, Colaresi and Quinn, "Fightin' Words", Political Analysis 16(4), 2008, equations 15, 16, 18, 20 and 22.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmark.features import Features, SparseFeatures

PRIOR = 10.0
"""Captions that the prior of a feature's captions counts as: drawn as often as each word occurs in all captions."""
OTHERS = 0.05
"""The same for the other captions, as a share of all. More than for the feature's: a word that hardly any other caption
holds, the best of names, would else have log-odds that are large, but hardly determined, and a small z."""


class LogOdds(NamedTuple):
    """How much more frequent each word is in the captions that activate a feature than in the others, (F, V)."""

    z: NDArray[np.float32]
    """zeta: the log-odds ratio over its standard deviation; 0 for a feature that no caption activates."""
    delta: NDArray[np.float32]
    """The log-odds ratio."""


def activation_matrix(features: Features) -> sparse.csr_matrix:
    """Return the activations of all features as a sparse float32 matrix (m, N) with sorted columns."""
    if not isinstance(features, SparseFeatures):
        return sparse.csr_matrix(np.asarray(features.array, np.float32).T)
    row, slot = np.nonzero(features.values)
    entries = features.values[row, slot], (features.indices[row, slot].astype(np.int32), row.astype(np.int32))
    return sparse.csr_matrix(entries, shape=(features.n_latents, len(features)))


def strong_activations(active: sparse.csr_matrix, share: float = 0.25) -> sparse.csr_matrix:
    """Return the strongest `share` of each feature's activations (F, N), at least one; ties at the edge stay."""
    kept = active.copy()
    for start, stop in zip(active.indptr[:-1], active.indptr[1:], strict=True):
        if stop > start:
            values = active.data[start:stop]
            edge = np.sort(values)[-max(int(share * len(values)), 1)]
            kept.data[start:stop][values < edge] = 0
    kept.eliminate_zeros()
    return kept


def log_odds(active: sparse.csr_matrix, held: sparse.csr_matrix) -> LogOdds:
    """Compare the words of the captions that activate each feature with those of the other captions.

    A feature's caption x counts w(x) = a(x) sum(a) / sum(a^2): together its captions count as many as equally strong
    ones would that determine a mean as well (Kish's effective number). Every other caption counts 1. With y_w the
    counts of word w, n their sum, alpha_w the prior of w and alpha_0 its sum, of the feature (i) and of the other
    captions (j):

        delta_w = log((y_w^i + alpha_w^i) / (n^i + alpha_0^i - y_w^i - alpha_w^i)) - the same of j
        zeta_w  = delta_w / sqrt(1 / (y_w^i + alpha_w^i) + 1 / (y_w^j + alpha_w^j))

    alpha^i is PRIOR captions, alpha^j the share OTHERS of all N, of the words as frequent as in all captions.

    Args:
        active: (F, N) activations, not negative.
        held: (N, V) 1 where a caption holds a word; words that no caption holds score 0.
    """
    weighted, fires = active.astype(np.float64), active.copy()
    total = np.asarray(weighted.sum(1)).ravel()
    square = np.asarray(weighted.multiply(weighted).sum(1)).ravel()
    factor = np.divide(total, square, out=np.zeros(len(total)), where=square > 0)
    weighted.data *= np.repeat(factor, np.diff(active.indptr))
    fires.data = np.ones_like(fires.data)
    everywhere = np.asarray(held.sum(0), np.float64).ravel()
    silent = everywhere == 0
    share = np.where(silent, 1, everywhere / max(held.shape[0], 1))  # 1: no logarithm of 0
    y = (weighted @ held).toarray() + PRIOR * share
    other = everywhere - (fires @ held).toarray() + OTHERS * held.shape[0] * share
    n, n_other = (counts[:, ~silent].sum(1, keepdims=True) for counts in (y, other))
    with np.errstate(invalid="ignore", divide="ignore"):
        delta = np.log(y / (n - y)) - np.log(other / (n_other - other))
        z = delta / np.sqrt(1 / y + 1 / other)
    for scores in (z, delta):
        scores[total == 0] = 0
        scores[:, silent] = 0
    return LogOdds(z.astype(np.float32), delta.astype(np.float32))
