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
from numpy.typing import NDArray

from benchmark.features import Features, SparseFeatures
from benchmark.metrics.correlation import Side, check_same_samples, layers, max_correlation
from benchmark.metrics.crossfit import one_over_spread
from benchmark.metrics.groups import folds as make_folds
from benchmark.metrics.groups import shared_groups
from benchmark.metrics.leave_out import fold_sums, leave_out
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

    Features without TopK take 24 bytes a sample and latent of both sides in memory.

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
    sums = fold_sums(own.latent, own.raw, own.value, other.latent, other.value, partner, fold, m, n)
    cuts = np.cumsum([0, *sizes]) if aggregate == "layer_mean" else np.array([0, m])
    layer = np.repeat(np.arange(len(cuts) - 1), np.diff(cuts))
    weight = np.bincount(layer, sums[0], len(cuts) - 1)
    if (weight == 0).any():
        raise ValueError(dead_layer(int(np.argmax(weight == 0)), len(cuts) - 1))
    share = np.diff(cuts) / m
    inverse = np.argsort(partner, axis=1, kind="stable")
    first = np.stack([np.searchsorted(row, np.arange(n + 1), sorter=order)
                      for row, order in zip(partner, inverse, strict=True)])  # fmt: skip
    value, change, agreement = leave_out(
        own.latent, own.raw, own.value, other.latent, other.value, partner, inverse, first,
        fold, members.order, members.start, layer, share, weight, *sums,
    )  # fmt: skip
    return Contributions(float(value), change, agreement)
