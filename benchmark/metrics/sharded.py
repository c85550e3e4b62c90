"""Correlations of all pairs of features, block by block, and of samples that lie in several shards."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from benchmark.features import Features
from benchmark.metrics.comoments import CoMoments, comoments
from benchmark.metrics.correlation import MaxCorrelation, Maxima, PairMaxima, Side, finish, layers

MEMORY = 2 << 30
"""Bytes of sums held at a time by default."""


def correlations(source: Features, target: Features) -> NDArray[np.float32]:
    """Return all Pearson correlations (m, n) between two single layers; constant features correlate 0.

    Raises ValueError when the layers do not belong to the same samples.
    """
    out = np.empty((source.n_latents, target.n_latents), np.float32)
    for latents in _blocks(source.n_latents, target.n_latents, 256 << 20):
        out[latents.start : latents.stop] = comoments(source, target, latents).correlations()
    return out


def max_correlation_of_shards(shards: Sequence[tuple[Side, Side]], *, memory: int = MEMORY) -> MaxCorrelation:
    """Return `max_correlation` over the samples of all shards together.

    Args:
        shards: (source, target) of disjoint sets of samples, with the same layers throughout. Only one shard is used
            at a time, so the sequence may load them as they are asked for.
        memory: bytes of sums to hold. When not all pairs of features fit, the shards are read several times.

    Raises:
        ValueError: there is no shard, their layers differ, or a shard's sides belong to different samples.
    """
    if not len(shards):
        raise ValueError("a comparison of shards needs at least one shard.")
    sizes = [[f.n_latents for f in layers(side)] for side in shards[0]]
    best = Maxima(*sizes)
    for a, m in enumerate(sizes[0]):
        for b, n in enumerate(sizes[1]):
            blocks = []
            for latents in _blocks(m, n, memory):
                parts = (_shard(shards[s], sizes, a, b, latents) for s in range(len(shards)))
                total = reduce(lambda one, two: one + two, parts)
                blocks.append((latents.start, total))
            best.update(a, b, _maxima(blocks, m, n))
    return best.result()


def _shard(shard: tuple[Side, Side], sizes: list[list[int]], a: int, b: int, latents: range) -> CoMoments:
    sides = [layers(side) for side in shard]
    found = [[f.n_latents for f in side] for side in sides]
    if found != sizes:
        raise ValueError(f"shards differ in their layers' numbers of latents: {sizes} against {found}.")
    return comoments(sides[0][a], sides[1][b], latents)


def _maxima(blocks: list[tuple[int, CoMoments]], m: int, n: int) -> PairMaxima:
    row, row_arg = np.full(m, -2, np.float32), np.full(m, -1)
    column, column_arg = np.full(n, -2, np.float32), np.full(n, m)
    row_constant = np.zeros(m, bool)
    column_constant = np.zeros(n, bool)
    for start, sums in blocks:
        constant, column_constant = (side.low == side.high for side in (sums.source, sums.target))
        here = slice(start, start + len(constant))
        # float32, so that what differs by the rounding of float64 sums is a tie.
        r = sums.correlations().astype(np.float32)
        row_constant[here] = constant
        row[here], row_arg[here] = r.max(1), r.argmax(1)
        r[constant] = -2  # `finish` makes them candidates with value 0
        better = r.max(0) > column
        column_arg = np.where(better, r.argmax(0) + start, column_arg)
        column = np.where(better, r.max(0), column)
    return finish(row, row_arg, column, column_arg, row_constant, column_constant)


def _blocks(m: int, n: int, memory: int) -> list[range]:
    rows = max(1, min(m, memory // (8 * n)))
    return [range(start, min(start + rows, m)) for start in range(0, m, rows)]
