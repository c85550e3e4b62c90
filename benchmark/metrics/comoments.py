"""Centred sums over samples from which exact correlations follow, and which shards of a dataset can be merged by.

For a pair of features these are the mean of each, its sum of squared deviations, and the sum of products of the
deviations. The sums of two shards merge exactly (Chan, Golub and LeVeque 1983, equations 2.1), so features that are
too large for memory, or lie on several machines, give the correlations of the whole.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmark.cores import cores
from benchmark.features import DenseFeatures, Features, SparseFeatures
from benchmark.metrics import kernel
from benchmark.metrics.correlation import check_same_samples


class Moments(NamedTuple):
    """Centred moments of the m features of one layer over some samples."""

    mean: NDArray[np.float64]
    """(m,)."""
    squares: NDArray[np.float64]
    """(m,) sum of squared deviations from the mean."""
    low: NDArray[np.float64]
    """(m,) lowest value: equal to `high` for constant features, an exact test."""
    high: NDArray[np.float64]
    """(m,) highest value."""

    def merged(self, other: "Moments", here: int, there: int) -> "Moments":
        """Return the moments over both sets of samples, of `here` and `there` samples."""
        delta, n = other.mean - self.mean, here + there
        return Moments(
            self.mean + delta * (there / n),
            self.squares + other.squares + delta**2 * (here * there / n),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )


@dataclass(frozen=True)
class CoMoments:
    """What a shard leaves behind of one pair of layers: moments of both sides, and products of deviations."""

    n_samples: int
    source: Moments
    """Of the source latents `products` has rows for."""
    target: Moments
    products: NDArray[np.float64]
    """(rows, n) sum over samples of the products of both features' deviations from their means."""

    def __add__(self, other: "CoMoments") -> "CoMoments":
        """Merge the sums of two sets of samples; raises ValueError when they are not of the same features."""
        if self.products.shape != other.products.shape:
            raise ValueError(
                f"sums of different features cannot be merged: {self.products.shape} against {other.products.shape}."
            )
        if not self.n_samples or not other.n_samples:
            return self if self.n_samples else other
        factor = self.n_samples * other.n_samples / (self.n_samples + other.n_samples)
        shift = np.outer((other.source.mean - self.source.mean) * factor, other.target.mean - self.target.mean)
        return CoMoments(
            self.n_samples + other.n_samples,
            self.source.merged(other.source, self.n_samples, other.n_samples),
            self.target.merged(other.target, self.n_samples, other.n_samples),
            self.products + other.products + shift,
        )

    def correlations(self) -> NDArray[np.float64]:
        """Return Pearson's correlations (rows, n); 0 where a feature is constant."""
        inverse = [_inverse_length(side) for side in (self.source, self.target)]
        return np.clip(self.products * inverse[0][:, None] * inverse[1], -1, 1)


def moments(features: Features) -> Moments:
    """Return the moments of one layer."""
    return _side(features).moments


def comoments(
    source: Features, target: Features, latents: range | None = None, *, threads: int | None = None
) -> CoMoments:
    """Return the sums over the samples of two single layers, for some of the source's latents (None: all).

    Memory: 8 bytes for each pair of features. The result does not depend on `threads` (None: all available cores).
    Raises ValueError when the layers do not belong to the same samples.
    """
    check_same_samples([source], [target])
    latents = range(source.n_latents) if latents is None else latents
    own, other = _side(source), _side(target)
    chosen = slice(latents.start, latents.stop)
    if isinstance(own, _Slots) and isinstance(other, _Slots):
        products = _sparse_products(own, other, latents, threads or cores())
        products -= np.outer(own.mean[chosen] * source.n_samples, other.mean)
    else:
        products = own.dense()[:, chosen].T @ other.dense()
    here = Moments(*(part[chosen] for part in own.moments))
    return CoMoments(source.n_samples, here, other.moments, products)


def _sparse_products(own: "_Slots", other: "_Slots", latents: range, threads: int) -> NDArray[np.float64]:
    products = np.zeros((len(latents), len(other.mean)))
    parts = [part for part in np.array_split(np.arange(len(latents)), 8 * threads) if len(part)]

    def work(part: NDArray[np.int64]) -> None:
        rows = products[part[0] : part[-1] + 1]
        _add_products(own.ptr, own.rows, own.vals, other.indices, other.values, latents.start + part[0], rows)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))
    return products


def _inverse_length(side: Moments) -> NDArray[np.float64]:
    varies = side.low != side.high
    return np.where(varies, 1 / np.sqrt(np.where(varies, side.squares, 1)), 0)


def _side(features: Features) -> "_Slots | _Array":
    return _Slots(features) if isinstance(features, SparseFeatures) else _Array(features)


class _Slots:
    """A sparse layer in float64: slots by sample and by latent, centred where a latent fires on every sample."""

    def __init__(self, features: SparseFeatures):
        n, m = features.n_samples, features.n_latents
        self.ptr, self.rows, vals = kernel.by_latent(features.indices, features.values, m)
        mean, var, low, high = kernel.two_pass_moments(self.ptr, vals, n)
        everywhere = np.diff(self.ptr) == n
        self.moments = Moments(mean, var * n, np.where(everywhere, low, 0), high)
        # A latent that fires everywhere may have a mean far above its deviation; centred, its products do not cancel.
        shift = np.where(everywhere, mean, 0.0)
        self.indices = features.indices
        self.values = np.where(features.values > 0, features.values - shift[features.indices], 0.0)
        self.vals = vals - np.repeat(shift, np.diff(self.ptr))
        self.mean = np.where(everywhere, 0.0, mean)
        """Of the values kept here."""

    def dense(self) -> NDArray[np.float64]:
        """Return the centred (N, m) array."""
        out = np.zeros((len(self.indices), len(self.mean)))
        np.add.at(out, (np.arange(len(self.indices))[:, None], self.indices), self.values)
        return out - self.mean


class _Array:
    """A dense layer in float64, centred."""

    def __init__(self, features: DenseFeatures):
        n, m = features.array.shape
        array = features.array.astype(np.float64)
        low, high = (array.min(0), array.max(0)) if n else np.zeros((2, m))
        mean = array.mean(0) if n else np.zeros(m)
        self._centred = array - mean
        self.moments = Moments(mean, (self._centred**2).sum(0), low, high)

    def dense(self) -> NDArray[np.float64]:
        """Return the centred (N, m) array."""
        return self._centred


@njit(nogil=True, cache=True)
def _add_products(ptr, rows, vals, b_idx, b_val, first, out):
    """Add the products of source latents first, first + 1, ... with all target latents to out (latents, n)."""
    for i in range(len(out)):
        row = out[i]
        for p in range(ptr[first + i], ptr[first + i + 1]):
            x, v = rows[p], vals[p]
            for t in range(b_idx.shape[1]):
                row[b_idx[x, t]] += v * b_val[x, t]
