"""How well a name predicts on which samples a feature fires: the AUC of the captions that hold it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata


def detection_auc(
    active: sparse.csr_matrix,
    held: sparse.csr_matrix,
    words: NDArray[np.int64],
    weights: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Return the AUC with which words tell the samples that a feature fires on from the others, (F,).

    A sample scores the sum of the weights of the words that its caption holds; the AUC is the probability that a
    sample that fires scores more than one that does not, a tie counting half. With one word that is
    (1 + share of the firing samples that hold it - share of the others that do) / 2: captions that leave out what
    they show, or call it otherwise, keep it below 1 for the best of names.

    Args:
        active: (F, N) activations.
        held: (N, V) which captions hold which words.
        words: (F, R) words of each feature, at most 16; -1: none.
        weights: (F, R) what each counts; None: 1.

    Returns:
        NaN for a feature without words, or one that fires on all samples or on none.
    """
    n, count = active.shape[1], words.shape[1]
    weight = np.ones(words.shape) if weights is None else np.asarray(weights, np.float64)
    columns = sparse.csc_matrix(held)
    patterns = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    found = np.full(len(words), np.nan)
    for i, own in enumerate(words):
        fires = active.indices[active.indptr[i] : active.indptr[i + 1]]
        if not 0 < len(fires) < n or not (own >= 0).any():
            continue
        code = np.zeros(n, np.int64)
        for bit, word in enumerate(own):
            if word >= 0:
                code[columns.indices[columns.indptr[word] : columns.indptr[word + 1]]] |= 1 << bit
        positive = np.bincount(code[fires], minlength=2**count)
        negative = np.bincount(code, minlength=2**count) - positive
        found[i] = _auc(patterns @ np.where(own >= 0, weight[i], 0), positive, negative)
    return found


def _auc(scores: NDArray[Any], positive: NDArray[np.int64], negative: NDArray[np.int64]) -> float:
    """Return the AUC of samples that share scores: how many of both kinds have each."""
    _, level = np.unique(scores, return_inverse=True)
    good, bad = (np.bincount(level, counts).astype(np.float64) for counts in (positive, negative))
    below = np.cumsum(bad) - bad / 2
    return float((good * below).sum() / (good.sum() * bad.sum()))


def image_auc(
    active: sparse.csr_matrix, probabilities: NDArray[np.float32], words: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the AUC with which a pair's p(word | image) tells the images that a feature fires on, (F,).

    Args:
        active: (F, n) activations on the images.
        probabilities: (n, V) p(candidate | image).
        words: (F,) the word of each feature; -1: none.

    Returns:
        NaN for a feature without a word, or one that fires on all images or on none.
    """
    n = active.shape[1]
    found = np.full(len(words), np.nan)
    order = np.argsort(words, kind="stable")  # features of one word share its ranks
    ranks, of = np.empty(0), -1
    for i in order:
        fires = active.indices[active.indptr[i] : active.indptr[i + 1]]
        if words[i] < 0 or not 0 < len(fires) < n:
            continue
        if words[i] != of:
            ranks, of = rankdata(probabilities[:, words[i]]), words[i]
        least = len(fires) * (len(fires) + 1) / 2
        found[i] = (ranks[fires].sum() - least) / (len(fires) * (n - len(fires)))
    return found
