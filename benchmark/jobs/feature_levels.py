"""Which samples show what a feature responds to: its strongest ones, and some from every quarter of its activations.

Only the strongest samples of a feature make it look purer than it is, so the quarters are there too. A group of samples
(five captions of one image) counts as one sample, its strongest.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.features import Features, SparseFeatures
from benchmark.metrics import kernel

TOP = 8
"""Strongest samples of a feature."""
QUARTERS = ("q75-100", "q50-75", "q25-50", "q0-25")
EACH = 3
"""Samples of every quarter of a feature's activations, beside the strongest ones."""
LEVELS = ("top", *QUARTERS)
BLOCK = 1 << 22
"""Entries of dense codes that are ranked at a time."""


class Latents(NamedTuple):
    """The activations of consecutive latents, one latent after the other, samples ascending."""

    first: int
    """Number of the first latent."""
    ptr: NDArray[np.int64]
    """(latents + 1,) first entry of each latent."""
    rows: NDArray[np.int32]
    values: NDArray[np.float32]
    """Above 0."""


def feature_levels(features: Features) -> pd.DataFrame:
    """Return the samples of every live feature at several levels of its activation.

    One row per feature, level and sample: feature, level (`LEVELS`), rank within the level (0: strongest), row (the
    sample) and value. Level `top` has the 8 strongest samples. The activations of a feature, ranked, are cut into 12
    slices of equal size, three a quarter, and the sample in the middle of each slice stands for it unless it is among
    the top ones: a feature with few active samples has fewer rows, and no sample twice. Ties go to the lowest row.
    Features that are constant (never active, or always at one value) have no rows.
    """
    groups = _groups(features)
    parts = [_levels(latents, features.n_samples, groups) for latents in _blocks(features)]
    feature, level, rank, row, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    return pd.DataFrame({
        "feature": feature.astype(np.int32),
        "level": pd.Categorical.from_codes(level.astype(np.int8), pd.Index(LEVELS)),
        "rank": rank.astype(np.int8),
        "row": row.astype(np.int32),
        "value": value.astype(np.float32),
    })  # fmt: skip


def feature_summary(features: Features) -> pd.DataFrame:
    """Return one row per feature: whether it is live, how often and how strongly it is active, and its weight S.

    Columns: feature, live (not constant), frequency (samples on which it is active), density (their share),
    mean_active (its mean over them; NaN if there are none), S (its sum over all samples).
    """
    parts = []
    for latents in _blocks(features):
        counts = np.diff(latents.ptr)
        parts.append((counts, _varies(latents, features.n_samples)))
    frequency, live = (np.concatenate(part) for part in zip(*parts, strict=True))
    weights = features.weights
    return pd.DataFrame({
        "feature": np.arange(features.n_latents, dtype=np.int32),
        "live": live,
        "frequency": frequency.astype(np.int32),
        "density": (frequency / max(features.n_samples, 1)).astype(np.float32),
        "mean_active": np.where(frequency > 0, weights / np.maximum(frequency, 1), np.nan).astype(np.float32),
        "S": weights,
    })  # fmt: skip


def _groups(features: Features) -> NDArray[np.int64] | None:
    """Return the group of each sample from 0 on, None if each sample is its own."""
    if features.groups is None:
        return None
    found, numbers = np.unique(features.groups, return_inverse=True)
    return None if len(found) == features.n_samples else numbers.astype(np.int64)


def _blocks(features: Features) -> Iterator[Latents]:
    if isinstance(features, SparseFeatures):
        yield Latents(0, *kernel.by_latent(features.indices, features.values, features.n_latents))
        return
    step = max(1, BLOCK // max(features.n_samples, 1))
    for first in range(0, features.n_latents, step):
        part = np.ascontiguousarray(features.array[:, first : first + step].T)
        latent, rows = np.nonzero(part)
        ptr = np.searchsorted(latent, np.arange(len(part) + 1))
        yield Latents(first, ptr, rows.astype(np.int32), part[latent, rows])


def _varies(latents: Latents, n: int) -> NDArray[np.bool_]:
    """Return which latents are not constant, (latents,)."""
    counts = np.diff(latents.ptr)
    live = (counts > 0) & (counts < n)
    for i in np.flatnonzero(counts == n) if n else ():
        values = latents.values[latents.ptr[i] : latents.ptr[i + 1]]
        live[i] = values.min() < values.max()
    return live


def _levels(latents: Latents, n: int, groups: NDArray[np.int64] | None) -> tuple[NDArray, ...]:
    """Return feature, level, rank, row and value of the chosen entries."""
    m = len(latents.ptr) - 1
    latent = np.repeat(np.arange(m), np.diff(latents.ptr))
    # Positive floats are ordered like their bits, and a stable sort keeps the lower row of equal values first.
    falling = np.uint64(2**32 - 1) - latents.values.view(np.uint32)
    order = np.argsort((latent.astype(np.uint64) << np.uint64(32)) | falling, kind="stable")
    if groups is not None:
        pair = latent[order] * (groups.max() + 1) + groups[latents.rows[order]]
        order = order[np.sort(np.unique(pair, return_index=True)[1])]
    counts = np.bincount(latent[order], minlength=m)
    start = np.cumsum(counts) - counts
    counts = np.where(_varies(latents, n), counts, 0)

    top = np.broadcast_to(np.arange(TOP), (m, TOP))
    slices = len(QUARTERS) * EACH
    middle = (2 * np.arange(slices) + 1) * counts[:, None] // (2 * slices)
    new = (middle >= TOP) & (np.diff(middle, axis=1, prepend=-1) > 0)
    place = np.concatenate([top, middle], axis=1)
    chosen = np.concatenate([top < counts[:, None], new], axis=1)
    level = np.concatenate([np.zeros(TOP, int), 1 + np.arange(slices) // EACH])
    rank = np.concatenate([top, (new.reshape(m, len(QUARTERS), EACH).cumsum(2) - 1).reshape(m, slices)], axis=1)

    feature, slot = np.nonzero(chosen)
    entry = order[start[feature] + place[feature, slot]]
    return latents.first + feature, level[slot], rank[feature, slot], latents.rows[entry], latents.values[entry]
