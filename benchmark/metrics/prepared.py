"""What `max_correlation` needs to know of one feature set, computed once and kept as long as the features live."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from benchmark.features import Features, SparseFeatures
from benchmark.metrics import kernel

# Inside this range products and sums over samples neither overflow nor vanish in float32.
SAFE = (2.0**-30, 2.0**30)


@dataclass(frozen=True)
class Prepared:
    """Latent-major copy and moments of one `SparseFeatures` (N, m, k), in units that float32 can multiply."""

    indices: NDArray[Any]
    """(N, k)."""
    values: NDArray[np.float32]
    """(N, k), each latent scaled by a power of two and, where it fires on every sample, centred."""
    ptr: NDArray[np.int64]
    """(m + 1,) first slot of each latent in rows and vals."""
    rows: NDArray[np.int32]
    vals: NDArray[np.float32]
    mean: NDArray[np.float64]
    """(m,) mean of the values above."""
    inv_std: NDArray[np.float64]
    """(m,) 1 / standard deviation of the values above; 0 for constant latents."""
    repetition: NDArray[np.float64]
    """(m,) sum over a latent's distinct values of (times it occurs)^2."""
    order: NDArray[np.int32] | None = None
    """(N,) of a source: its sample x is paired with the target's sample order[x]; None: with x."""

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self.indices)

    @property
    def constant(self) -> NDArray[np.bool_]:
        """(m,) latents that have one value on all samples."""
        return self.inv_std == 0

    @property
    def counts(self) -> NDArray[np.int64]:
        """(m,) samples on which each latent fires."""
        return np.diff(self.ptr)


_cache: WeakKeyDictionary[SparseFeatures, Prepared] = WeakKeyDictionary()


def prepare(features: SparseFeatures) -> Prepared:
    """Return the prepared form of `features`, from the cache if it was made before."""
    found = _cache.get(features)
    if found is None:
        found = _cache[features] = _prepare(features)
    return found


def prepare_all(features: Iterable[Features], threads: int) -> None:
    """Prepare all sparse layers that are not yet, several at a time."""
    missing = [f for f in features if isinstance(f, SparseFeatures) and f not in _cache]
    if threads > 1 and len(missing) > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(prepare, missing))


def repaired(source: Prepared, order: NDArray[np.int64]) -> Prepared:
    """Return a source whose sample x is paired with the target's sample order[x]; nothing is copied or measured."""
    return replace(source, order=order.astype(np.int32))


def _prepare(features: SparseFeatures) -> Prepared:
    n, m = features.n_samples, features.n_latents
    indices, values = features.indices, features.values
    ptr, rows, vals = kernel.by_latent(indices, values, m)
    mean, var, low, high = kernel.two_pass_moments(ptr, vals, n)
    counts = np.diff(ptr)
    # An exact test: a threshold on the variance depends on the scale of the features.
    everywhere = counts == n
    constant = (counts == 0) | (everywhere & (low == high))
    # A latent that fires everywhere may have a mean far above its deviation. It has a stored value for every sample,
    # so it can be centred, which leaves its correlations as they are and the sums small.
    shift = np.where(everywhere & ~constant, mean, 0).astype(np.float32)
    span = np.where(everywhere, np.maximum(high - shift, shift - low), high)
    unsafe = ~constant & ((span < SAFE[0]) | (span > SAFE[1]))
    if shift.any() or unsafe.any():
        exponent = np.where(unsafe, -np.frexp(np.where(constant, 1, span))[1], 0)
        values = np.where(values > 0, np.ldexp(values.astype(np.float64) - shift[indices], exponent[indices]), 0)
        values = values.astype(np.float32)
        latent = np.repeat(np.arange(m), counts)
        vals = np.ldexp(vals.astype(np.float64) - shift[latent], exponent[latent]).astype(np.float32)
        mean, var, _, _ = kernel.two_pass_moments(ptr, vals, n)
    inv_std = np.where(constant, 0, 1 / np.sqrt(np.where(constant, 1, var)))
    return Prepared(indices, values, ptr, rows, vals, mean, inv_std, kernel.repetition(ptr, vals))
