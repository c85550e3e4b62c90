"""How similar the samples are that one feature fires on, seen by an independent encoder."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.features import Features, SparseFeatures


def monosemanticity(features: Features, embeddings: ArrayLike) -> NDArray[np.float64]:
    """Return the monosemanticity score (m,) of each feature: 1 if all samples it fires on look alike.

    The score of Pach et al. (arXiv 2504.02821, equations 7 to 9): over all pairs of different samples, the mean cosine
    similarity of their embeddings, weighted with the product of the feature's activations on both, each scaled so that
    the feature's lowest value is 0 and its highest 1. Instead of N^2 pairs it takes N k d operations, as
    sum_{x<y} a_x a_y <e_x, e_y> = (|sum_x a_x e_x|^2 - sum_x a_x^2) / 2 for embeddings of length 1.

    Args:
        features: N samples, m latents.
        embeddings: (N, d) of another encoder, so that the score is not the encoder's opinion of itself.

    Returns:
        NaN for features that exceed their lowest value on fewer than two samples.

    Raises:
        ValueError: the embeddings are not (N, d), not finite, or one of them is 0.
    """
    e = np.asarray(embeddings, np.float64)
    if e.ndim != 2 or len(e) != features.n_samples:
        raise ValueError(f"embeddings must have shape ({features.n_samples}, d), got {e.shape}.")
    length = np.linalg.norm(e, axis=1, keepdims=True)
    if not np.isfinite(length).all() or (length == 0).any():
        row = int(np.argmax(~np.isfinite(length) | (length == 0)))
        raise ValueError(f"the embedding of sample {row} is zero or not finite.")
    e = e / length
    rows, latents, values = _raised(features)
    m = features.n_latents
    total = np.bincount(latents, values, m)
    squares = np.bincount(latents, values**2, m)
    direction = _sums(rows, latents, values, e, m)
    pairs = total**2 - squares
    alike = (direction**2).sum(1) - squares
    several = np.bincount(latents[values > 0], minlength=m) >= 2
    return np.where(several, alike / np.where(several, pairs, 1), np.nan)


def _raised(features: Features) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return (sample, latent, value above the latent's lowest value over its highest) of all live slots."""
    if isinstance(features, SparseFeatures):
        rows, slots = np.nonzero(features.values)
        latents, values = features.indices[rows, slots].astype(np.int64), features.values[rows, slots]
    else:
        rows, latents = np.nonzero(features.array)
        values = features.array[rows, latents]
    values, m = values.astype(np.float64), features.n_latents
    everywhere = np.bincount(latents, minlength=m) == features.n_samples
    low, high = np.full(m, np.inf), np.zeros(m)
    np.minimum.at(low, latents, values)
    np.maximum.at(high, latents, values)
    low = np.where(everywhere, low, 0)
    span = np.where(high > low, high - low, 1)
    return rows, latents, (values - low[latents]) / span[latents]


def _sums(
    rows: NDArray[np.int64], latents: NDArray[np.int64], values: NDArray[np.float64], e: NDArray[np.float64], m: int
) -> NDArray[np.float64]:
    from scipy.sparse import csr_array

    return csr_array((values, (latents, rows)), shape=(m, len(e))) @ e
