"""Cross-fitted wMPPC: partners are chosen on some samples and their correlation is taken on others.

The maximum that wMPPC takes is biased upward by selection; the correlation of a partner that was chosen without
looking at the sample is not. value = sum_folds sum_i S_i^fold r_i^fold / sum_folds sum_i S_i^fold, where r_i^fold is
the correlation on the held-out fold with the partner chosen on the others. Folds hold whole groups.

The interval resamples blocks of held-out groups with the partners fixed: resampling before the maximum is taken
would bias it upward again.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmark.features import Features, SparseFeatures
from benchmark.metrics.correlation import Side, check_same_samples, layers, max_correlation
from benchmark.metrics.groups import folds as make_folds
from benchmark.metrics.groups import shared_groups
from benchmark.metrics.prepared import prepare
from benchmark.metrics.wmppc import Aggregate

BLOCKS = 20
"""Most blocks of groups a fold: the unit that the interval resamples."""


class CrossFit(NamedTuple):
    """Cross-fitted wMPPC of one direction."""

    value: float
    low: float
    """2.5 % point of the resampled values."""
    high: float
    """97.5 % point."""
    draws: NDArray[np.float64]
    """(R,) resampled values, NaN where no feature of a layer is active. Draw r uses the same groups for all features
    of the same samples, seed and folds."""


def crossfit(
    source: Side, target: Side, *, folds: int = 5, seed: int = 0, aggregate: Aggregate = "layer_mean"
) -> float:
    """Return the cross-fitted wMPPC from source to target; about 0 where nothing is shared, at any N.

    Raises ValueError when the features belong to different samples, there are fewer groups than folds, or no source
    feature is active.
    """
    return _crossfit(source, target, folds, seed, aggregate, resamples=0, ways=1)[0].value


def crossfit_both(
    source: Side,
    target: Side,
    *,
    folds: int = 5,
    seed: int = 0,
    aggregate: Aggregate = "layer_mean",
    resamples: int = 200,
) -> tuple[CrossFit, CrossFit]:
    """Return the cross-fitted wMPPC of both directions with intervals, at little more than the cost of one value.

    Raises ValueError like `crossfit`, for either direction.
    """
    there, back = _crossfit(source, target, folds, seed, aggregate, resamples, ways=2)
    return there, back


def _crossfit(
    source: Side, target: Side, folds: int, seed: int, aggregate: Aggregate, resamples: int, ways: int
) -> list[CrossFit]:
    """Return source to target and, for two `ways`, target to source."""
    if folds < 2:
        raise ValueError(f"cross-fitting needs at least 2 folds, got {folds}.")
    sources, targets = layers(source), layers(target)
    check_same_samples(sources, targets)
    groups = shared_groups(sources, targets)
    rng = np.random.default_rng(seed)
    fold = make_folds(groups, folds, rng)
    block, draws = _resampling(groups, fold, folds, resamples, rng)
    directions = ((sources, targets), (targets, sources))[:ways]
    partners = np.empty((2, folds), object)
    for f in range(folds):
        rows = np.flatnonzero(fold != f)
        chosen = max_correlation([s.take(rows) for s in sources], [t.take(rows) for t in targets])
        partners[0, f], partners[1, f] = chosen.source_match, chosen.target_match
    results = []
    for i, (own, other) in enumerate(directions):
        sizes = [f.n_latents for f in own]
        top, bottom = np.zeros((2, 1 + resamples, len(sizes)))
        for f in range(folds):
            rows = np.flatnonzero(fold == f)
            counts = np.vstack([np.ones(BLOCKS), draws[:, f]])
            for total, part in zip(
                (top, bottom), _held_out(own, other, partners[i, f], rows, block[rows], counts), strict=True
            ):
                total += part
        results.append(_joined(top, bottom, sizes, aggregate))
    return results


def _resampling(
    groups: NDArray[np.int64], fold: NDArray[np.int64], k: int, resamples: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each sample's block within its fold (N,), groups whole, and how often draws use it, (R, k, BLOCKS)."""
    block, draws = np.empty(len(groups), np.int64), np.zeros((resamples, k, BLOCKS), np.int64)
    for f in range(k):
        rows = np.flatnonzero(fold == f)
        members, inverse = np.unique(groups[rows], return_inverse=True)
        used = min(BLOCKS, len(members))  # an empty block would make draws of nothing
        block[rows] = (rng.permutation(len(members)) % used)[inverse]
        draws[:, f, :used] = rng.multinomial(used, np.full(used, 1 / used), resamples)
    return block, draws


def _held_out(
    own: list[Features],
    other: list[Features],
    partner: NDArray[np.int64],
    rows: NDArray[np.int64],
    block: NDArray[np.int64],
    counts: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sum_i S_i r_i and sum_i S_i on one fold, (1 + R, L) per source layer, for each row of block counts."""
    n, m = sum(f.n_latents for f in other), len(partner)
    i, f, raw = _slots(own, rows)
    j, g, _ = _slots(other, rows)
    live = partner >= 0
    chosen = np.where(live, partner, 0)

    def by_block(index: NDArray, value: NDArray, width: int) -> NDArray[np.float64]:
        cell = block[:, None] * width + index
        flat = np.bincount(cell.ravel(), value.ravel(), BLOCKS * width)
        return flat.astype(np.float64, copy=False).reshape(BLOCKS, width)

    sums = [by_block(i, f, m), by_block(i, f * f, m), by_block(j, g, n)[:, chosen], by_block(j, g * g, n)[:, chosen]]
    products = np.zeros((BLOCKS, m))
    _add_products(i, f, j, g, partner, block, products, np.zeros(n))
    size = (counts @ np.bincount(block, minlength=BLOCKS))[:, None]
    weight = by_block(i, raw, m)
    tops, bottoms, at = [], [], 0
    for width in (layer.n_latents for layer in own):
        here = slice(at, at + width)
        at += width
        s = counts @ weight[:, here]
        mean_f, square_f, mean_g, square_g, cross = (counts @ x[:, here] / size for x in (*sums, products))
        var_f, var_g = square_f - mean_f**2, square_g - mean_g**2
        # Constant on these samples, up to the rounding of float64 sums: others have var >= square / N, as features
        # that fire on the whole fold come centred.
        varies = (var_f > 1e-12 * square_f) & (var_g > 1e-12 * square_g) & live[here]
        scale = np.sqrt(np.where(varies, var_f * var_g, 1))
        r = np.where(varies, np.clip((cross - mean_f * mean_g) / scale, -1, 1), 0)
        tops.append((s * r).sum(1))
        bottoms.append(s.sum(1))
    return np.stack(tops, 1), np.stack(bottoms, 1)


def _slots(side: list[Features], rows: NDArray[np.int64]) -> tuple[NDArray, NDArray, NDArray]:
    """Return flat indices, values to correlate and raw values (rows, slots) of all layers, for some samples."""
    parts, at = [], 0
    for features in side:
        if isinstance(features, SparseFeatures):
            here = features.take(rows)
            index, raw, value = here.indices, here.values, prepare(here).values
        else:
            raw = features.array[rows]
            value = raw - np.where((raw == raw[0]).all(0), 0, raw.mean(0, dtype=np.float64))
            index = np.broadcast_to(np.arange(features.n_latents), raw.shape)
        parts.append((index.astype(np.int64) + at, value.astype(np.float64), raw.astype(np.float64)))
        at += features.n_latents
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


def _joined(top: NDArray[np.float64], bottom: NDArray[np.float64], sizes: list[int], aggregate: Aggregate) -> CrossFit:
    if aggregate == "global":
        top, bottom, sizes = top.sum(1, keepdims=True), bottom.sum(1, keepdims=True), [1]
    elif aggregate != "layer_mean":
        raise ValueError(f"aggregate must be 'layer_mean' or 'global', got '{aggregate}'.")
    if (bottom[0] == 0).any():
        raise ValueError("the total weight is zero: no feature is ever active, so wMPPC is not defined.")
    ratio = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
    values = ratio @ np.array(sizes) / sum(sizes)
    draws = values[1:]  # NaN where a draw leaves a whole layer without activity
    low, high = np.nanquantile(draws, [0.025, 0.975]) if np.isfinite(draws).any() else (np.nan, np.nan)
    return CrossFit(float(values[0]), float(low), float(high), draws)
