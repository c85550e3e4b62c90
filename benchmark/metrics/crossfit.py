"""Cross-fitted wMPPC: partners are chosen on some samples and their correlation is taken on others.

The maximum that wMPPC takes is biased upward by selection; the correlation of a partner that was chosen without
looking at the sample is not. Partners are chosen on all folds but one, and covariances and variances are taken on the
fold left out (within it) and added up over the folds before they are divided:

    r_i = sum_folds cov(f_i, g_p) / sqrt(sum_folds var(f_i) sum_folds var(g_p)),    value = sum_i S_i r_i / sum_i S_i

with p the fold's partner of i and target features of variance 1 over all samples, as folds may have different partners.
A mean of the folds' own correlations would lie too high: of few firings, a ratio's mean is above the ratio of means
(`docs/validity.md`). Folds hold whole groups.

The interval resamples blocks of held-out groups with the partners fixed: resampling before the maximum is taken
would bias it upward again. Nor are correlations taken anew on resampled samples: those of rare features grow where
samples repeat, and most intervals would not hold their own value. A draw moves the value by each block's influence
instead, how much the value falls without it (the infinitesimal jackknife; Efron 1982, chapter 6).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.features import Features
from benchmark.metrics.comoments import moments
from benchmark.metrics.correlation import Side, check_same_samples, layers, max_correlation
from benchmark.metrics.groups import folds as make_folds
from benchmark.metrics.groups import shared_groups
from benchmark.metrics.held_out import BLOCKS, Sums, held_out
from benchmark.metrics.wmppc import Aggregate, dead_layer


class CrossFit(NamedTuple):
    """Cross-fitted wMPPC of one direction."""

    value: float
    low: float
    """2.5 % point of the resampled values."""
    high: float
    """97.5 % point."""
    draws: NDArray[np.float64]
    """(R,) resampled values. Draw r uses the same groups for all features of the same samples, seed and folds."""


def crossfit(
    source: Side, target: Side, *, folds: int = 5, seed: int = 0, aggregate: Aggregate = "layer_mean"
) -> float:
    """Return the cross-fitted wMPPC from source to target; about 0 where nothing is shared, at any N.

    Raises ValueError when the features belong to different samples, there are fewer groups than two a fold, or no
    source feature is active.
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


def crossfit_by_layer(
    source: Side, target: Side, *, folds: int = 5, seed: int = 0, resamples: int = 200
) -> tuple[list[CrossFit], list[CrossFit]]:
    """Return the values of each source layer against all target layers together, and of each target layer back.

    Their means, with layers' sizes as weights, are what `crossfit_both` gives. Raises ValueError like `crossfit`.
    """
    sides = layers(source), layers(target)
    found, draws = _fold_sums(*sides, folds, seed, resamples, ways=2)
    there, back = (
        [
            joined([Sums(*(column[:, end - size : end] for column in part)) for part in parts], [size], "global", draws)
            for size, end in zip(sizes, np.cumsum(sizes), strict=True)
        ]
        for parts, sizes in zip(found, ([f.n_latents for f in side] for side in sides), strict=True)
    )
    return there, back


def held_out_rho(source: Side, target: Side, *, folds: int = 5, seed: int = 0) -> NDArray[np.float64]:
    """Return each source feature's cross-fitted correlation r (m,), flat over layers: what `crossfit` weights with S.

    Raises ValueError when the features belong to different samples or there are fewer groups than two a fold.
    """
    (parts, *_), _ = _fold_sums(layers(source), layers(target), folds, seed, resamples=0, ways=1)
    return total_sums(parts).correlations()[0]


def held_out_rho_both(
    source: Side, target: Side, *, folds: int = 5, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `held_out_rho` of source to target and of target to source, at the cost of one of them."""
    found, _ = _fold_sums(layers(source), layers(target), folds, seed, resamples=0, ways=2)
    there, back = (total_sums(parts).correlations()[0] for parts in found)
    return there, back


def correlation_with(source: Features, target: Features, partner: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the correlation (m,) of each feature of a layer with the partner (m,) it is given; 0 where that is -1.

    The partners were chosen elsewhere, on other samples: nothing is selected here, so nothing is biased.

    Raises ValueError when the features belong to different samples or partners do not fit.
    """
    check_same_samples([source], [target])
    if partner.shape != (source.n_latents,) or partner.max(initial=-1) >= target.n_latents:
        raise ValueError(
            f"partners {partner.shape} up to {partner.max(initial=-1)} do not fit {source.n_latents} features and "
            f"{target.n_latents} of the target."
        )
    rows = np.arange(source.n_samples)
    scales = np.ones(source.n_latents), np.ones(target.n_latents)
    found = held_out([source], [target], scales, partner, rows, np.zeros_like(rows), np.ones((1, BLOCKS)))
    return found.correlations()[0]


def held_out_rho_blocks(
    source: Side, target: Side, *, folds: int = 5, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `held_out_rho_both` over all samples and without each block of held-out groups, (1 + B, m) and (1 + B, n).

    Partners stay those of all samples. Up to 20 blocks a fold, the same ones for all features of the same samples:
    with them the error of whatever is made of the correlations follows (the delete-a-block jackknife).

    Raises ValueError like `held_out_rho`.
    """
    found, _ = _fold_sums(layers(source), layers(target), folds, seed, resamples=1, ways=2)
    there, back = (
        np.concatenate(
            [total_sums(parts).correlations(), *(_without_blocks(parts, fold).correlations() for fold in parts)]
        )
        for parts in found
    )
    return there, back


def _without_blocks(parts: list[Sums], fold: Sums) -> Sums:
    """Return the sums over all folds without each block of one of them."""
    return Sums(*(total + part[1:] - part[0] for total, part in zip(total_sums(parts), fold, strict=True)))


def _crossfit(
    source: Side, target: Side, folds: int, seed: int, aggregate: Aggregate, resamples: int, ways: int
) -> list[CrossFit]:
    """Return source to target and, for two `ways`, target to source."""
    sources, targets = layers(source), layers(target)
    found, draws = _fold_sums(sources, targets, folds, seed, resamples, ways)
    return [
        joined(parts, [f.n_latents for f in own], aggregate, draws)
        for parts, own in zip(found, (sources, targets), strict=False)
    ]


def _fold_sums(
    sources: list[Features], targets: list[Features], folds: int, seed: int, resamples: int, ways: int
) -> tuple[list[list[Sums]], NDArray[np.int64]]:
    """Return the sums of each fold, for source to target and maybe back, and how often draws use its blocks."""
    if folds < 2:
        raise ValueError(f"cross-fitting needs at least 2 folds, got {folds}.")
    check_same_samples(sources, targets)
    groups = shared_groups(sources, targets)
    rng = np.random.default_rng(seed)
    fold = make_folds(groups, folds, rng)
    block, draws = block_draws(groups, fold, folds, resamples, rng)
    # All samples of a fold, and all but one block: only the influence of blocks needs the latter.
    counts = np.vstack([np.ones(BLOCKS), 1 - np.eye(BLOCKS)]) if resamples else np.ones((1, BLOCKS))
    sides = sources, targets
    scales = [np.concatenate([one_over_spread(f) for f in side]) for side in sides]
    found: list[list[Sums]] = [[] for _ in range(ways)]
    for f in range(folds):
        inside, rows = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        chosen = max_correlation([s.take(inside) for s in sources], [t.take(inside) for t in targets])
        for own, partner in enumerate((chosen.source_match, chosen.target_match)[:ways]):
            other = 1 - own
            found[own].append(
                held_out(sides[own], sides[other], (scales[own], scales[other]), partner, rows, block[rows], counts)
            )
    return found, draws


def total_sums(parts: list[Sums]) -> Sums:
    """Return the sums over whole folds, (1, m)."""
    return Sums(*(sum(part[:1] for part in column) for column in zip(*parts, strict=True)))


def one_over_spread(features: Features) -> NDArray[np.float64]:
    """Return one over the standard deviation of each feature over all samples, 1 for constant ones."""
    found = moments(features)
    varies = (found.low != found.high) & (found.squares > 0)
    return np.sqrt(features.n_samples / np.where(varies, found.squares, features.n_samples))


def block_draws(
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


def joined(parts: list[Sums], sizes: list[int], aggregate: Aggregate, counts: NDArray[np.int64]) -> CrossFit:
    """Return the value over all folds, and draws by the influence of each fold's blocks; counts (R, folds, BLOCKS)."""
    if aggregate not in ("layer_mean", "global"):
        raise ValueError(f"aggregate must be 'layer_mean' or 'global', got '{aggregate}'.")
    whole = total_sums(parts)
    value, of_layers = _value(whole, sizes, aggregate)
    if not len(counts):
        return CrossFit(float(value[0]), np.nan, np.nan, np.empty(0))
    without = [_value(_without_blocks(parts, fold), sizes, aggregate, of_layers)[0] for fold in parts]
    draws = value[0] + (counts.reshape(len(counts), -1) - 1) @ (value[0] - np.concatenate(without))
    low, high = np.quantile(draws, [0.025, 0.975])
    return CrossFit(float(value[0]), float(low), float(high), draws)


def _value(
    sums: Sums, sizes: list[int], aggregate: Aggregate, otherwise: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the value of each row of sums (V,), and that of each layer (V, L).

    `otherwise` (1, L) stands in for layers without activity: one that is active on a single block has no value without
    it, so that block's influence is not known. Raises ValueError for such layers if it is None.
    """
    r = sums.correlations()
    cuts = np.cumsum([0, *sizes])[:-1] if aggregate == "layer_mean" else np.array([0])
    top, bottom = (np.add.reduceat(part, cuts, axis=1) for part in (sums.weight * r, sums.weight))
    if otherwise is None and (bottom == 0).any():
        raise ValueError(dead_layer(int(np.argmax((bottom == 0).any(0))), len(cuts)))
    start = np.zeros_like(top) if otherwise is None else np.tile(otherwise, (len(top), 1))
    ratio = np.divide(top, bottom, out=start, where=bottom > 0)
    shares = np.array(sizes) / sum(sizes) if aggregate == "layer_mean" else np.ones(1)
    return ratio @ shares, ratio
