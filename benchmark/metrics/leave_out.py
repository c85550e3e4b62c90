"""The compiled part of `contributions`: sums over folds, and what they become without each unit of samples.

Latents are flat over layers; i, raw, f (N, K) are the source's latents, activations and values to correlate, j, g those
of the target; partner (folds, m) is the partner of each source latent on each fold, -1 for none.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def fold_sums(i, raw, f, j, g, partner, fold, m, n):
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
def leave_out(
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
