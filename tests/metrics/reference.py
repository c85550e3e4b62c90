"""The definitions of docs/numbers.md in plain float64 NumPy: slow, obvious, and independent of the code."""

import numpy as np


def constant(dense):
    """Which columns have one value on all samples."""
    return np.array([len(set(column.tolist())) <= 1 for column in dense.T], bool)


def standard(dense):
    """Columns with mean 0 and length 1, constant ones 0."""
    dense = np.asarray(dense, np.float64)
    out = np.zeros_like(dense)
    for j in np.flatnonzero(~constant(dense)):
        column = dense[:, j] / np.abs(dense[:, j]).max()
        column = column - column.mean()
        column = column / np.abs(column).max()
        out[:, j] = column / np.sqrt(np.sum(column**2))
    return out


def pearson(a, b):
    """(m, n) correlations of the columns of (N, m) and (N, n), 0 for constant ones."""
    return standard(a).T @ standard(b)


def maxima(a, b):
    """rho and match in both directions, and the (m, n) correlations."""
    r = pearson(a, b)
    out = []
    for table, own in ((r, a), (r.T, b)):
        still = constant(own)
        out += [np.where(still, 0, table.max(1)), np.where(still, -1, table.argmax(1))]
    return *out, r


def unique_best(table, gap=1e-5):
    """Rows whose best is above every other one by more than `gap`."""
    if table.shape[1] == 1:
        return np.ones(len(table), bool)
    top = np.sort(table, axis=1)
    return top[:, -1] - top[:, -2] > gap


def wmppc(rho, weights):
    return float(np.sum(weights * rho) / np.sum(weights))


def overall(rho, weights, sizes, aggregate):
    """wMPPC of a source of several layers with these sizes."""
    if aggregate == "global":
        return wmppc(rho, weights)
    cuts = np.cumsum(sizes)[:-1]
    each = [wmppc(r, s) for r, s in zip(np.split(rho, cuts), np.split(weights, cuts), strict=True)]
    return sum(v * size for v, size in zip(each, sizes, strict=True)) / sum(sizes)


def sharedness(source, shared, absent):
    """Delta from dense arrays."""
    inside = np.min([np.maximum(maxima(source, g)[0], 0) ** 2 for g in shared], axis=0)
    outside = np.max([np.maximum(maxima(source, h)[0], 0) ** 2 for h in absent], axis=0)
    return np.asarray(source, np.float64).sum(0) * (inside - outside)


def crossfit(sources, targets, fold, aggregate):
    """Partners chosen on the other folds; their covariances and variances on the held-out ones, pooled."""
    source, target = np.hstack(sources).astype(np.float64), np.hstack(targets).astype(np.float64)
    sizes = [layer.shape[1] for layer in sources]
    r = held_out(source, target, fold)
    s = source.sum(0)
    if aggregate == "global":
        return (s * r).sum() / s.sum()
    cuts = np.cumsum(sizes)[:-1]
    each = [(w * x).sum() / w.sum() for w, x in zip(np.split(s, cuts), np.split(r, cuts), strict=True)]
    return float(np.average(each, weights=sizes))


def held_out(source, target, fold, kept=None):
    """Each source feature's pooled held-out correlation; with `kept` (N,) bool only these samples are held out."""
    kept = np.ones(len(source), bool) if kept is None else kept
    unit = standard(target) * np.sqrt(len(target))
    cross, own, other = np.zeros((3, source.shape[1]))
    for f in np.unique(fold):
        partner = maxima(source[fold != f], target[fold != f])[1]
        rows = (fold == f) & kept
        for i, p in enumerate(partner):
            x = source[rows, i] / max(source[:, i].max(), 1e-300)
            x = x - x.mean() if len(set(x.tolist())) > 1 else np.zeros(len(x))
            own[i] += (x * x).sum()
            if p >= 0:
                y = unit[rows, p]
                y = y - y.mean() if len(set(y.tolist())) > 1 else np.zeros(len(y))
                cross[i] += (x * y).sum()
                other[i] += (y * y).sum()
    scale = np.sqrt(own) * np.sqrt(other)
    return np.where(scale > 0, cross / np.where(scale > 0, scale, 1), 0)
