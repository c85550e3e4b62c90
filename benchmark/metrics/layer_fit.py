"""Cross-fitted values of every pair of layers of two encoders, and the parts of the value of all layers together.

See `benchmark.metrics.layerwise` for cells and parts.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.cores import cores
from benchmark.metrics.correlation import Maxima, Side, layer_pair
from benchmark.metrics.crossfit import CrossFit, block_draws, joined, one_over_spread, total_sums
from benchmark.metrics.groups import folds as make_folds
from benchmark.metrics.groups import shared_groups
from benchmark.metrics.held_out import BLOCKS, Sums, held_out
from benchmark.metrics.layerwise import Step, layer_of, layer_starts, prepared_sides
from benchmark.metrics.prepared import prepare_all


class LayerFit(NamedTuple):
    """Cross-fitted values of one direction; draw r of all of them uses the same groups of samples."""

    cells: NDArray[np.float64]
    """(La, Lb): each pair of layers alone."""
    cell_draws: NDArray[np.float64]
    """(R, La, Lb) resampled cells."""
    overall: CrossFit
    """All source layers against all target layers together (`layer_mean`)."""
    parts: NDArray[np.float64]
    """(La, Lb): what of `overall` is due to source layer a and partners in target layer b."""
    part_draws: NDArray[np.float64]
    """(R, La, Lb) resampled parts."""


def crossfit_layers(
    source_layers: Side,
    target_layers: Side,
    *,
    folds: int = 5,
    seed: int = 0,
    resamples: int = 200,
    step: Step = lambda: None,
) -> tuple[LayerFit, LayerFit]:
    """Return cross-fitted values for all pairs of layers, source to target and target to source.

    Args:
        source_layers, target_layers: layers from shallow to deep, over the same samples.
        folds: of the samples.
        seed: of the folds and of the resampling, which are those of `crossfit_both` under the same seed.
        resamples: draws of every value, R.
        step: called after each fold.

    Raises:
        ValueError: the features belong to different samples, a layer is dead, or a fold has fewer than two groups.
    """
    if folds < 2:
        raise ValueError(f"cross-fitting needs at least 2 folds, got {folds}.")
    sides = prepared_sides(source_layers, target_layers)
    groups = shared_groups(*sides)
    rng = np.random.default_rng(seed)
    fold = make_folds(groups, folds, rng)
    block, draws = block_draws(groups, fold, folds, resamples, rng)
    counts = np.vstack([np.ones(BLOCKS), 1 - np.eye(BLOCKS)]) if resamples else np.ones((1, BLOCKS))
    scales = [[one_over_spread(f) for f in side] for side in sides]
    sizes = [[f.n_latents for f in side] for side in sides]
    shape = len(sides[0]), len(sides[1])
    cells: list[dict[tuple[int, int], list[Sums]]] = [{}, {}]
    pooled: list[list[Sums]] = [[], []]
    partner_layers: list[list[NDArray[np.int64]]] = [[], []]
    for f in range(folds):
        inside, rows = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        left, right = ([features.take(inside) for features in side] for side in sides)
        prepare_all([*left, *right], cores())
        best = Maxima(*sizes)
        for a, b in np.ndindex(shape):
            pair = layer_pair(left[a], right[b])
            best.update(a, b, pair)
            for way, (own, other, partner) in enumerate(((a, b, pair.row_arg), (b, a, pair.column_arg))):
                there = 1 - way
                scale = scales[way][own], scales[there][other]
                cells[way].setdefault((own, other), []).append(
                    held_out([sides[way][own]], [sides[there][other]], scale, partner, rows, block[rows], counts)
                )
        chosen = best.result()
        flat = [np.concatenate(part) for part in scales]
        for way, partner in enumerate((chosen.source_match, chosen.target_match)):
            there = 1 - way
            scale = flat[way], flat[there]
            pooled[way].append(held_out(sides[way], sides[there], scale, partner, rows, block[rows], counts))
            partner_layers[way].append(layer_of(partner, sizes[there]))
        step()
    there_fit, back_fit = (
        _layer_fit(cells[way], pooled[way], partner_layers[way], sizes[way], sizes[1 - way], draws) for way in (0, 1)
    )
    return there_fit, back_fit


def _layer_fit(
    cells: dict[tuple[int, int], list[Sums]],
    pooled: list[Sums],
    partner_layers: list[NDArray[np.int64]],
    own: list[int],
    other: list[int],
    draws: NDArray[np.int64],
) -> LayerFit:
    """Return the values of one direction from the sums of each fold."""
    shape = len(own), len(other)
    matrix, matrix_draws = np.empty(shape), np.empty((len(draws), *shape))
    for (a, b), sums in cells.items():
        fit = joined(sums, [own[a]], "layer_mean", draws)
        matrix[a, b], matrix_draws[:, a, b] = fit.value, fit.draws
    parts, part_draws = _parts(pooled, partner_layers, own, len(other), draws)
    return LayerFit(matrix, matrix_draws, joined(pooled, own, "layer_mean", draws), parts, part_draws)


def _parts(
    folds: list[Sums], partner_layers: list[NDArray[np.int64]], own: list[int], others: int, draws: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the parts (La, Lb) of a pooled cross-fit and their draws (R, La, Lb) by the influence of each block."""
    whole = total_sums(folds)
    value = _parts_of(whole, [fold.cross[:1] for fold in folds], partner_layers, own, others)[0]
    if not len(draws):
        return value, np.empty((0, *value.shape))
    without = []
    for f, fold in enumerate(folds):
        left = Sums(*(total + part[1:] - part[0] for total, part in zip(whole, fold, strict=True)))
        crosses = [part.cross[1:] if g == f else part.cross[:1] for g, part in enumerate(folds)]
        without.append(_parts_of(left, crosses, partner_layers, own, others))
    found = np.concatenate(without)  # NaN where a layer is active on this block alone: its influence is not known
    influence = np.where(np.isnan(found), 0, value - found)
    return value, value + np.tensordot(draws.reshape(len(draws), -1) - 1, influence, axes=1)


def _parts_of(
    sums: Sums,
    crosses: list[NDArray[np.float64]],
    partner_layers: list[NDArray[np.int64]],
    own: list[int],
    others: int,
) -> NDArray[np.float64]:
    """Return (V, La, Lb) parts for V rows of sums; `crosses` are the folds' own, (V, m) or (1, m) each."""
    product = sums.own * sums.other
    factor = sums.weight * np.where(product > 0, 1 / np.sqrt(np.where(product > 0, product, 1)), 0)
    bottom = np.add.reduceat(sums.weight, layer_starts(own), axis=1)
    shares = np.array(own) / sum(own)
    out = np.empty((len(sums.weight), len(own), others))
    for b in range(others):
        top = np.zeros_like(factor)
        for cross, at in zip(crosses, partner_layers, strict=True):
            top += np.where(at == b, cross, 0)
        per_layer = np.add.reduceat(top * factor, layer_starts(own), axis=1)
        out[:, :, b] = np.divide(per_layer, bottom, out=np.full_like(bottom, np.nan), where=bottom > 0) * shares
    return out
