"""Sums over one held-out fold, whole and without each block, from which cross-fitted correlations follow."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmark.features import Features, SparseFeatures

BLOCKS = 20
"""Most blocks of groups a fold: the unit that the interval resamples."""


class Sums(NamedTuple):
    """Sums over one fold's samples, (V, m): over all of them, and over all but each block."""

    weight: NDArray[np.float64]
    """S."""
    cross: NDArray[np.float64]
    """Products of the deviations of a feature and its partner from their means."""
    own: NDArray[np.float64]
    """Squared deviations of a feature."""
    other: NDArray[np.float64]
    """Squared deviations of its partner."""

    def correlations(self) -> NDArray[np.float64]:
        """Return (V, m) correlations, 0 where a feature or its partner does not vary."""
        product = self.own * self.other
        return np.where(product > 0, np.clip(self.cross / np.sqrt(np.where(product > 0, product, 1)), -1, 1), 0)


def held_out(
    own: list[Features],
    other: list[Features],
    scales: tuple[NDArray[np.float64], NDArray[np.float64]],
    partner: NDArray[np.int64],
    rows: NDArray[np.int64],
    block: NDArray[np.int64],
    counts: NDArray[np.float64],
) -> Sums:
    """Return the sums on one fold for each row of block counts (V, B), features scaled."""
    n, m = sum(f.n_latents for f in other), len(partner)
    i, f, raw = _slots(own, rows, scales[0])
    j, g, _ = _slots(other, rows, scales[1])
    live = partner >= 0
    chosen = np.where(live, partner, 0)

    def by_block(index: NDArray, value: NDArray, width: int) -> NDArray[np.float64]:
        cell = block[:, None] * width + index
        flat = np.bincount(cell.ravel(), value.ravel(), BLOCKS * width)
        return flat.astype(np.float64, copy=False).reshape(BLOCKS, width)

    size = np.maximum(counts @ np.bincount(block, minlength=BLOCKS), 1)[:, None]  # a fold may be a single block
    products = np.zeros((BLOCKS, m))
    _add_products(i, f, j, g, partner, block, products, np.zeros(n))
    sum_f, square_f = counts @ by_block(i, f, m), counts @ by_block(i, f * f, m)
    sum_g, square_g = counts @ by_block(j, g, n)[:, chosen], counts @ by_block(j, g * g, n)[:, chosen]
    return Sums(
        counts @ by_block(i, raw, m),
        np.where(live, counts @ products - sum_f * sum_g / size, 0),
        _deviations(square_f, sum_f, size),
        np.where(live, _deviations(square_g, sum_g, size), 0),
    )


def _deviations(square: NDArray[np.float64], total: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray:
    """Return sums of squared deviations, 0 where they are rounding.

    Others are at least square / N, as features that fire on the whole fold come centred.
    """
    found = square - total**2 / size
    return np.where(found > 1e-12 * square, found, 0)


def _slots(
    side: list[Features], rows: NDArray[np.int64], scale: NDArray[np.float64]
) -> tuple[NDArray, NDArray, NDArray]:
    """Return flat indices, values to correlate and raw values (rows, slots) of all layers, for some samples.

    Values to correlate are scaled, and centred where a feature fires on all of the samples.
    """
    parts, at = [], 0
    for features in side:
        m = features.n_latents
        if isinstance(features, SparseFeatures):
            index, raw = features.indices[rows].astype(np.int64), features.values[rows].astype(np.float64)
        else:
            raw = features.array[rows].astype(np.float64)
            index = np.broadcast_to(np.arange(m), raw.shape)
        live = raw > 0
        everywhere = np.bincount(index[live], minlength=m) == len(rows)
        mean = np.bincount(index[live], raw[live], m) / max(len(rows), 1)
        value = np.where(live, raw - np.where(everywhere, mean, 0)[index], 0) * scale[at : at + m][index]
        parts.append((index + at, value, raw))
        at += m
    index, value, raw = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    return index, value, raw


@njit(nogil=True, cache=True)
def _add_products(i, f, j, g, partner, block, products, scratch):
    """Add f_i(x) g_partner(i)(x) to products[block of x, i]; `scratch` (n,) is zero before and after."""
    for x in range(len(i)):
        for t in range(j.shape[1]):
            scratch[j[x, t]] += g[x, t]
        for t in range(i.shape[1]):
            if partner[i[x, t]] >= 0:
                products[block[x], i[x, t]] += f[x, t] * scratch[partner[i[x, t]]]
        for t in range(j.shape[1]):
            scratch[j[x, t]] = 0
