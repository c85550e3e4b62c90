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
    """Partners chosen on the other folds, correlation on the held-out one, S of the held-out one."""
    source, target = np.hstack(sources).astype(np.float64), np.hstack(targets).astype(np.float64)
    sizes = [layer.shape[1] for layer in sources]
    top, bottom = np.zeros(source.shape[1]), np.zeros(source.shape[1])
    for f in np.unique(fold):
        partner = maxima(source[fold != f], target[fold != f])[1]
        held = pearson(source[fold == f], target[fold == f])
        r = np.array([held[i, p] if p >= 0 else 0.0 for i, p in enumerate(partner)])
        s = source[fold == f].sum(0)
        top, bottom = top + s * r, bottom + s
    if aggregate == "global":
        return top.sum() / bottom.sum()
    cuts = np.cumsum(sizes)[:-1]
    each = [t.sum() / b.sum() for t, b in zip(np.split(top, cuts), np.split(bottom, cuts), strict=True)]
    return float(np.average(each, weights=sizes))
