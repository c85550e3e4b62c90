"""rho: for every feature its highest Pearson correlation with any feature of the other side, both ways at once.

Definition: arXiv 2507.18512, section 3 (rho_i^{A->B} = max_j Pearson(f_i^A, f_j^B) over samples).
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.cores import cores
from benchmark.features import DenseFeatures, Features, SparseFeatures
from benchmark.metrics import dense, kernel
from benchmark.metrics.prepared import Prepared, prepare, prepare_all

Side = Features | Sequence[Features]
# The rounding error of float32 sums: correlations closer to 1 than this are 1, and those of two layers that are this
# close tie, as their sums may have been taken in different precisions.
ROUNDING = 4e-6
PRECISIONS: tuple[type, type] = (np.float32, np.float64)


class MaxCorrelation(NamedTuple):
    """Maxima of both directions, flat over concatenated layers."""

    source: NDArray[np.float64]
    """(m,) highest correlation of each source feature with a target feature; 0 for constant features."""
    source_match: NDArray[np.int64]
    """(m,) lowest index into the concatenated target that attains it; -1 for constant features."""
    target: NDArray[np.float64]
    """(n,) the same for each target feature."""
    target_match: NDArray[np.int64]
    """(n,) index into the concatenated source."""


def max_correlation(source: Side, target: Side, *, device: str = "cpu", threads: int | None = None) -> MaxCorrelation:
    """Return the exact maxima of the Pearson correlations between two sets of features, in both directions.

    Args:
        source, target: one feature set or a sequence of them (layers, shallow to deep), all over the same samples.
        device: "cpu" for the sparse kernel; another torch device ("cuda") for tiled dense products.
        threads: threads of the sparse kernel; None: all available cores. The result does not depend on it.

    Raises:
        ValueError: the sides do not belong to the same samples in the same order, or there are fewer than one thread.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}.")
    sources, targets = layers(source), layers(target)
    check_same_samples(sources, targets)
    if device == "cpu":
        prepare_all([*sources, *targets], threads or cores())
    best = Maxima([f.n_latents for f in sources], [f.n_latents for f in targets])
    for a, left in enumerate(sources):
        for b, right in enumerate(targets):
            best.update(a, b, layer_pair(left, right, device=device, threads=threads))
    return best.result()


def layers(side: Side) -> list[Features]:
    """Return one side as a list of feature sets; raises ValueError for an empty sequence."""
    if isinstance(side, (SparseFeatures, DenseFeatures)):
        return [side]
    found = list(side)
    if not found:
        raise ValueError("a side of a comparison needs at least one layer of features, got an empty sequence.")
    for item in found:
        if not isinstance(item, (SparseFeatures, DenseFeatures)):
            raise TypeError(f"expected SparseFeatures or DenseFeatures, got {type(item).__name__}.")
    return found


def check_same_samples(*sides: Sequence[Features]) -> None:
    """Raise ValueError unless all feature sets belong to the same samples in the same order."""
    first, groups = sides[0][0], None
    for other in (item for side in sides for item in side):
        if other.n_samples != first.n_samples or other.samples != first.samples:
            raise ValueError(
                "features do not belong to the same samples in the same order: "
                f"shape {(first.n_samples, first.n_latents)} with fingerprint '{first.samples}' against "
                f"shape {(other.n_samples, other.n_latents)} with fingerprint '{other.samples}'."
            )
        if groups is None:
            groups = other.groups
        elif other.groups is not None and not np.array_equal(groups, other.groups):
            raise ValueError("features of the same samples disagree about which samples share a group.")


class PairMaxima(NamedTuple):
    """Maxima of both directions between two single layers."""

    row: NDArray[np.float32]
    row_arg: NDArray[np.int64]
    column: NDArray[np.float32]
    column_arg: NDArray[np.int64]


def layer_pair(a: Features, b: Features, *, device: str = "cpu", threads: int | None = None) -> PairMaxima:
    """Return the maxima between two single layers over the same samples."""
    if isinstance(a, SparseFeatures) and isinstance(b, SparseFeatures) and device == "cpu":
        return sparse_pair(prepare(a), prepare(b), threads)
    return finish(*dense.pair(a, b, device))


def sparse_pair(a: Prepared, b: Prepared, threads: int | None = None) -> PairMaxima:
    """Return the maxima between two prepared layers."""
    return finish(*sparse_maxima(a, b, threads), a.constant, b.constant)


def sparse_maxima(
    a: Prepared, b: Prepared, threads: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
    """Return row maxima, their lowest indices, column maxima, their lowest indices, as `finish` wants them.

    The cost is N * k_a * k_b additions plus m * n comparisons. Rows of constant latents are left out.
    """
    m, n = len(a.mean), len(b.mean)
    threads = threads or cores()
    scales = {kind: _scales(a, b, kind) for kind in PRECISIONS}
    row, row_arg = np.full(m, -2, np.float32), np.full(m, -1, np.int32)
    parts, lock = iter(_parts(a, b, threads)), threading.Lock()

    def work(_: int) -> list[tuple[NDArray[np.float32], NDArray[np.int32]]]:
        # Latents are ascending within each precision only, so each precision keeps its own column maxima.
        best = {kind: (np.full(n, -2, np.float32), np.full(n, m, np.int32)) for kind in scales}
        scratch: dict[type, NDArray] = {kind: np.empty(n, kind) for kind in scales}
        while True:
            with lock:
                part = next(parts, None)
            if part is None:
                return list(best.values())
            kind, latents = part
            kernel.max_rows(
                a.ptr, a.rows, a.vals, a.order, b.indices, b.values, *scales[kind], latents, scratch[kind],
                row, row_arg, *best[kind],
            )  # fmt: skip

    if threads == 1:
        done = work(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            done = [best for part in pool.map(work, range(threads)) for best in part]
    column, column_arg = done[0]
    for best, arg in done[1:]:
        better = (best > column) | ((best == column) & (arg < column_arg))
        column, column_arg = np.where(better, best, column), np.where(better, arg, column_arg)
    return row, row_arg, column, column_arg


def finish(
    row: NDArray[np.float32],
    row_arg: NDArray[np.integer],
    column: NDArray[np.float32],
    column_arg: NDArray[np.integer],
    row_constant: NDArray[np.bool_],
    column_constant: NDArray[np.bool_],
) -> PairMaxima:
    """Apply the rules for constant features, which correlate 0 with everything, and clip rounding."""

    def one(
        best: NDArray[np.float32], arg: NDArray[np.integer], own: NDArray[np.bool_], other: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if other.any():  # a constant feature of the other side is a candidate with value 0
            first = int(np.argmax(other))
            zero = (best < 0) | ((best == 0) & (first < arg))
            best, arg = np.where(zero, np.float32(0), best), np.where(zero, first, arg)
        best = np.where(best > 1 - ROUNDING, np.float32(1), np.maximum(best, np.float32(-1)))
        return np.where(own, np.float32(0), best), np.where(own, -1, arg).astype(np.int64)

    return PairMaxima(
        *one(row, row_arg, row_constant, column_constant), *one(column, column_arg, column_constant, row_constant)
    )


def _scales(a: Prepared, b: Prepared, kind: type) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    return (
        (a.inv_std / max(a.n_samples, 1)).astype(kind),
        (a.mean * a.inv_std).astype(kind),
        b.inv_std.astype(kind),
        (b.mean * b.inv_std).astype(kind),
    )


def _parts(a: Prepared, b: Prepared, threads: int) -> Iterator[tuple[type, NDArray[np.int64]]]:
    """Cut the live latents of `a` into parts of about equal work, each with the precision that its sums need."""
    # A float32 sum of c different positive terms is off by about 2e-8 sqrt(c) of itself; equal terms are rounded
    # alike, so their errors add up (2e-8 c). The sum is the correlation's numerator before the means are taken off:
    # up to sqrt((1 + mean^2/var)(1 + mean^2/var)) in units of r.
    ratio_a, ratio_b = (a.mean * a.inv_std) ** 2, (b.mean * b.inv_std) ** 2
    error = 2e-8 * np.sqrt(a.repetition * (1 + ratio_a) * (1 + ratio_b.max(initial=0)))
    work = a.counts * b.indices.shape[1] + len(b.mean) / 8
    for kind, chosen in ((np.float64, error > 1.5e-6), (np.float32, error <= 1.5e-6)):
        latents = np.flatnonzero(chosen & ~a.constant)
        if len(latents):
            done = np.cumsum(work[latents])
            cuts = np.searchsorted(done, np.linspace(0, done[-1], 8 * threads + 1)[1:-1])
            yield from ((kind, part) for part in np.split(latents, cuts) if len(part))


class Maxima:
    """Maxima over concatenated layers, updated with one pair of layers after the other, shallow to deep."""

    def __init__(self, sources: Sequence[int], targets: Sequence[int]):
        """Start with no correlation seen; the arguments are the sizes of the layers of both sides."""
        self._source_at, self._target_at = np.cumsum([0, *sources]), np.cumsum([0, *targets])
        m, n = self._source_at[-1], self._target_at[-1]
        self._source, self._source_match = np.full(m, -2.0), np.full(m, -1)
        self._target, self._target_match = np.full(n, -2.0), np.full(n, -1)

    def update(self, a: int, b: int, pair: PairMaxima) -> None:
        """Take in the maxima between source layer a and target layer b."""
        rows = slice(self._source_at[a], self._source_at[a + 1])
        columns = slice(self._target_at[b], self._target_at[b + 1])
        _raise(self._source[rows], self._source_match[rows], pair.row, pair.row_arg, columns.start)
        _raise(self._target[columns], self._target_match[columns], pair.column, pair.column_arg, rows.start)

    def result(self) -> MaxCorrelation:
        """Return the maxima over everything seen."""
        return MaxCorrelation(self._source, self._source_match, self._target, self._target_match)


def _raise(best: NDArray, match: NDArray, new: NDArray, arg: NDArray, offset: int) -> None:
    better = new > best + ROUNDING
    best[better] = new[better]
    match[better] = np.where(arg[better] < 0, -1, arg[better] + offset)
