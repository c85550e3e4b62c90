"""What each sample adds to a cross-fitted wMPPC: the value minus the value without the sample.

With partners p chosen on the other folds (`crossfit`), the value of a source layer is sum_i S_i r_i / sum_i S_i with
r_i = sum_folds cov(f_i, g_p) / sqrt(sum_folds var(f_i) sum_folds var(g_p)). Leaving a unit U of c samples out of a fold
of n changes every one of these sums exactly as in (Welford 1962; Chan, Golub, LeVeque 1983, equation 1.5)

    cov' = cov - sum_U a b - sum_U a sum_U b / (n - c),    a, b: deviations from the means of the whole fold,

and S_i by what the feature activates on U. Partners, and the scale of the target's features, stay those of all samples:
choosing them anew would cost a comparison for each sample, and no sample helps to choose the partners that it is judged
by. Nothing else is approximated: these are the leave-one-out values, not their linear form.

The linear form explains them. The influence of a sample on a correlation r is z_f z_g - r (z_f^2 + z_g^2) / 2 in
standardised values (Devlin, Gnanadesikan, Kettenring 1975), which is, up to a factor r / (1 - r^2) and a constant, the
log-likelihood ratio of "f and g belong together" against "independent" for normal variables. A contribution is the sum
of these over features with weights S_i: low where an image's features fire and their partners do not.

A feature that is inactive on U changes by the same sums for all U of its fold and size, so only features that are
active on U, or whose partner is, are looked at: the time is that of N (k + partners of active features) small sums.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmark.features import Features, SparseFeatures
from benchmark.metrics.correlation import Side, check_same_samples, layers, max_correlation
from benchmark.metrics.crossfit import one_over_spread
from benchmark.metrics.groups import folds as make_folds
from benchmark.metrics.groups import shared_groups
from benchmark.metrics.wmppc import Aggregate, dead_layer


class Contributions(NamedTuple):
    """What each unit of samples adds to the cross-fitted wMPPC of one direction."""

    value: float
    """Of all samples: what `crossfit` returns."""
    change: NDArray[np.float64]
    """(U,) value minus the value without the unit."""
    agreement: NDArray[np.float64]
    """(U,) the same with the weights S of all samples: what the unit does to correlations alone."""


def contributions(
    source: Side,
    target: Side,
    *,
    folds: int = 5,
    seed: int = 0,
    aggregate: Aggregate = "layer_mean",
    units: NDArray[np.int64] | None = None,
) -> tuple[Contributions, Contributions]:
    """Return the contributions to the wMPPC from source to target, and to that from target to source.

    Args:
        source, target: one feature set or a sequence of them (layers, shallow to deep), all over the same samples.
        folds, seed, aggregate: as in `crossfit`, whose value this is.
        units: (N,) unit 0..U-1 that each sample belongs to, within a group; None: each sample is its own.

    Raises:
        ValueError: the features belong to different samples, there are fewer groups than two a fold, a unit reaches
            over folds, or no source feature of a layer is active.
    """
    if folds < 2:
        raise ValueError(f"cross-fitting needs at least 2 folds, got {folds}.")
    if aggregate not in ("layer_mean", "global"):
        raise ValueError(f"aggregate must be 'layer_mean' or 'global', got '{aggregate}'.")
    sides = layers(source), layers(target)
    check_same_samples(*sides)
    groups = shared_groups(*sides)
    fold = make_folds(groups, folds, np.random.default_rng(seed))
    unit = np.arange(len(groups)) if units is None else np.asarray(units, np.int64)
    members = _members(unit, fold)
    partners: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])
    for f in range(folds):
        inside = np.flatnonzero(fold != f)
        chosen = max_correlation([s.take(inside) for s in sides[0]], [t.take(inside) for t in sides[1]])
        partners[0].append(chosen.source_match)
        partners[1].append(chosen.target_match)
    slots = [_slots(side, fold) for side in sides]
    there, back = (
        _both(slots[own], slots[1 - own], [f.n_latents for f in sides[own]], np.stack(partners[own]), fold, members,
              aggregate)
        for own in (0, 1)
    )  # fmt: skip
    return there, back


class _Slots(NamedTuple):
    """All layers of a side, concatenated, (N, K): latent, activation, and value to correlate."""

    latent: NDArray[np.int64]
    raw: NDArray[np.float64]
    value: NDArray[np.float64]


class _Members(NamedTuple):
    """The samples of each unit."""

    order: NDArray[np.int64]
    """(N,) samples, unit after unit."""
    start: NDArray[np.int64]
    """(U + 1,)."""


def _members(unit: NDArray[np.int64], fold: NDArray[np.int64]) -> _Members:
    if unit.shape != fold.shape:
        raise ValueError(f"units must have one entry a sample, {fold.shape}, got {unit.shape}.")
    sizes = np.bincount(unit)
    if not sizes.all():
        raise ValueError(f"units must be numbered without gaps; there is no sample of unit {int(np.argmin(sizes))}.")
    order = np.argsort(unit, kind="stable")
    start = np.concatenate([[0], np.cumsum(sizes)])
    if (fold != fold[order[start[:-1]]][unit]).any():
        raise ValueError("a unit of samples reaches over folds; units must lie within a group.")
    return _Members(order, start)


def _slots(side: list[Features], fold: NDArray[np.int64]) -> _Slots:
    parts, at = [], 0
    for features in side:
        m = features.n_latents
        if isinstance(features, SparseFeatures):
            index, raw = features.indices.astype(np.int64), features.values.astype(np.float64)
        else:
            raw = features.array.astype(np.float64)
            index = np.broadcast_to(np.arange(m), raw.shape)
        live = raw > 0
        # A mean far above the deviation would cancel in the sums; where a feature fires on a whole fold, centre it.
        cell, cells = fold[:, None] * m + index, (int(fold.max()) + 1) * m
        size = np.repeat(np.bincount(fold), m)
        everywhere = np.bincount(cell[live], minlength=cells) == size
        shift = np.where(everywhere, np.bincount(cell[live], raw[live], cells) / size, 0)
        value = np.where(live, raw - shift[cell], 0) * one_over_spread(features)[index]
        parts.append((index + at, raw, value))
        at += m
    return _Slots(*(np.ascontiguousarray(np.concatenate(part, axis=1)) for part in zip(*parts, strict=True)))


def _both(
    own: _Slots,
    other: _Slots,
    sizes: list[int],
    partner: NDArray[np.int64],
    fold: NDArray[np.int64],
    members: _Members,
    aggregate: Aggregate,
) -> Contributions:
    """Return one direction; partner (folds, m)."""
    m, n = sum(sizes), int(max(other.latent.max(initial=0), partner.max(initial=0))) + 1
    sums = _fold_sums(own.latent, own.raw, own.value, other.latent, other.value, partner, fold, m, n)
    cuts = np.cumsum([0, *sizes]) if aggregate == "layer_mean" else np.array([0, m])
    layer = np.repeat(np.arange(len(cuts) - 1), np.diff(cuts))
    weight = np.bincount(layer, sums[0], len(cuts) - 1)
    if (weight == 0).any():
        raise ValueError(dead_layer(int(np.argmax(weight == 0)), len(cuts) - 1))
    share = np.diff(cuts) / m
    inverse = np.argsort(partner, axis=1, kind="stable")
    first = np.stack([np.searchsorted(row, np.arange(n + 1), sorter=order)
                      for row, order in zip(partner, inverse, strict=True)])  # fmt: skip
    value, change, agreement = _leave_out(
        own.latent, own.raw, own.value, other.latent, other.value, partner, inverse, first,
        fold, members.order, members.start, layer, share, weight, *sums,
    )  # fmt: skip
    return Contributions(float(value), change, agreement)


@njit(nogil=True, cache=True)
def _fold_sums(i, raw, f, j, g, partner, fold, m, n):
    """Return S (m,), the folds' sizes and means (F,), (F, m), (F, n), and sums of deviations over folds, (m,) each."""
    folds = len(partner)
    total, size, cross = np.zeros(m), np.zeros(folds), np.zeros(m)
    mean_f, mean_g = np.zeros((folds, m)), np.zeros((folds, n))
    square_f, square_g, scratch = np.zeros((folds, m)), np.zeros((folds, n)), np.zeros(n)
    for x in range(len(fold)):
        h = fold[x]
        size[h] += 1
        for t in range(j.shape[1]):
            scratch[j[x, t]] += g[x, t]
            mean_g[h, j[x, t]] += g[x, t]
            square_g[h, j[x, t]] += g[x, t] ** 2
        for t in range(i.shape[1]):
            a = i[x, t]
            total[a] += raw[x, t]
            mean_f[h, a] += f[x, t]
            square_f[h, a] += f[x, t] ** 2
            if partner[h, a] >= 0:
                cross[a] += f[x, t] * scratch[partner[h, a]]
        for t in range(j.shape[1]):
            scratch[j[x, t]] = 0
    own, other = np.zeros(m), np.zeros(m)
    for h in range(folds):
        mean_f[h] /= size[h]
        mean_g[h] /= size[h]
        for a in range(m):
            own[a] += _deviations(square_f[h, a], mean_f[h, a], size[h])
            b = partner[h, a]
            if b >= 0:
                cross[a] -= size[h] * mean_f[h, a] * mean_g[h, b]
                other[a] += _deviations(square_g[h, b], mean_g[h, b], size[h])
    return total, size, mean_f, mean_g, cross, own, other


@njit(nogil=True, cache=True)
def _deviations(square, mean, size):
    """Return a sum of squared deviations, 0 where it is rounding (values come centred where all of a fold has one)."""
    found = square - size * mean * mean
    return found if found > 1e-12 * square else 0.0


@njit(nogil=True, cache=True)
def _correlation(cross, own, other, own_before, other_before):
    """Return a correlation from sums; 0 where what is left of a side's deviations is the rounding of what there was."""
    if own <= 1e-12 * own_before or other <= 1e-12 * other_before:
        return 0.0
    return min(max(cross / np.sqrt(own * other), -1.0), 1.0)


@njit(nogil=True, cache=True)
def _leave_out(
    i, raw, f, j, g, partner, inverse, first, fold, order, start, layer, share, weight,
    total, size, mean_f, mean_g, cross, own, other,
):  # fmt: skip
    """Return the value, and for each unit what it adds, and what it adds under the weights of all samples."""
    units, m, n, parts = len(start) - 1, len(total), mean_g.shape[1], len(weight)
    top = np.zeros(parts)
    for a in range(m):
        top[layer[a]] += total[a] * _correlation(cross[a], own[a], other[a], own[a], other[a])
    value = 0.0
    for part in range(parts):
        value += share[part] * top[part] / weight[part]
    # Sums over features as if the unit were inactive everywhere: by fold, for units of one size after the other.
    lengths = start[1:] - start[:-1]
    by_size = np.argsort(lengths, kind="mergesort")
    base, held = np.zeros((len(partner), parts)), -1
    change, agreement = np.zeros(units), np.zeros(units)
    s_raw, s_f, s_ff, s_fg = np.zeros(m), np.zeros(m), np.zeros(m), np.zeros(m)
    s_g, s_gg, scratch = np.zeros(n), np.zeros(n), np.zeros(n)
    seen, seen_g = np.zeros(m, np.bool_), np.zeros(n, np.bool_)
    touched, touched_g = np.zeros(m, np.int64), np.zeros(n, np.int64)
    moved, fixed, less = np.zeros(parts), np.zeros(parts), np.zeros(parts)
    for u in by_size:
        c = lengths[u]
        if c != held:
            held = c
            for h in range(len(partner)):
                base[h] = 0
                for a in range(m):
                    base[h, layer[a]] += total[a] * _without(
                        c, size[h], mean_f[h, a], _mean(mean_g, partner, h, a), 0.0, 0.0, 0.0, 0.0, 0.0,
                        partner[h, a] >= 0, cross[a], own[a], other[a],
                    )  # fmt: skip
        h = fold[order[start[u]]]
        count = count_g = 0
        for at in range(start[u], start[u + 1]):
            x = order[at]
            for t in range(j.shape[1]):
                if g[x, t] != 0:
                    b = j[x, t]
                    scratch[b] += g[x, t]
                    s_g[b] += g[x, t]
                    s_gg[b] += g[x, t] ** 2
                    if not seen_g[b]:
                        seen_g[b] = True
                        touched_g[count_g] = b
                        count_g += 1
            for t in range(i.shape[1]):
                if raw[x, t] != 0:
                    a = i[x, t]
                    s_raw[a] += raw[x, t]
                    s_f[a] += f[x, t]
                    s_ff[a] += f[x, t] ** 2
                    if partner[h, a] >= 0:
                        s_fg[a] += f[x, t] * scratch[partner[h, a]]
                    if not seen[a]:
                        seen[a] = True
                        touched[count] = a
                        count += 1
            for t in range(j.shape[1]):
                scratch[j[x, t]] = 0
        for q in range(count_g):
            b = touched_g[q]
            for at in range(first[h, b], first[h, b + 1]):
                a = inverse[h, at]
                if not seen[a]:
                    seen[a] = True
                    touched[count] = a
                    count += 1
        for part in range(parts):
            moved[part] = fixed[part] = base[h, part]
            less[part] = weight[part]
        for q in range(count):
            a = touched[q]
            mate = partner[h, a]
            paired = mate >= 0
            nu = mean_g[h, mate] if paired else 0.0
            mu = mean_f[h, a]
            before = _without(c, size[h], mu, nu, 0.0, 0.0, 0.0, 0.0, 0.0, paired, cross[a], own[a], other[a])
            after = _without(
                c, size[h], mu, nu, s_f[a], s_ff[a], s_g[mate] if paired else 0.0, s_gg[mate] if paired else 0.0,
                s_fg[a], paired, cross[a], own[a], other[a],
            )  # fmt: skip
            part = layer[a]
            fixed[part] += total[a] * (after - before)
            moved[part] += (total[a] - s_raw[a]) * after - total[a] * before
            less[part] -= s_raw[a]
        change[u] = agreement[u] = value
        for part in range(parts):
            # A layer that is active on this unit alone has no value without it: what the unit adds is not known.
            gone = less[part] <= 1e-12 * weight[part]
            change[u] -= share[part] * (top[part] / weight[part] if gone else moved[part] / less[part])
            agreement[u] -= share[part] * fixed[part] / weight[part]
        for q in range(count):
            a = touched[q]
            seen[a] = False
            s_raw[a] = s_f[a] = s_ff[a] = s_fg[a] = 0
        for q in range(count_g):
            b = touched_g[q]
            seen_g[b] = False
            s_g[b] = s_gg[b] = 0
    return value, change, agreement


@njit(nogil=True, cache=True)
def _mean(mean_g, partner, h, a):
    return mean_g[h, partner[h, a]] if partner[h, a] >= 0 else 0.0


@njit(nogil=True, cache=True)
def _without(c, n, mu, nu, s_f, s_ff, s_g, s_gg, s_fg, paired, cross, own, other):
    """Return a feature's correlation without c samples of a fold of n, of which the sums of values are given."""
    a, b = s_f - c * mu, s_g - c * nu
    left = n - c
    own_left = own - (s_ff - 2 * mu * s_f + c * mu * mu) - a * a / left
    if not paired:
        return _correlation(cross, own_left, other, own, other)
    cross_left = cross - (s_fg - nu * s_f - mu * s_g + c * mu * nu) - a * b / left
    other_left = other - (s_gg - 2 * nu * s_g + c * nu * nu) - b * b / left
    return _correlation(cross_left, own_left, other_left, own, other)
