"""Recorded SAE features of one layer: which latents fire on which samples, and how strongly.

`SparseFeatures` holds TopK codes (k slots a sample), `DenseFeatures` the (N, m) codes without TopK; both have the same
interface and are immutable, so that what is derived from them can be cached.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark import tensor_file
from benchmark.dense_features import DENSE, DenseFeatures
from benchmark.feature_arrays import (
    activations,
    checked_factors,
    checked_groups,
    fingerprint_of_rows,
    frozen,
    frozen_rows,
    halved,
    positions_of,
    with_groups,
)

SPARSE = "sparse features"
"""What a file says that it holds."""


class SparseFeatures:
    """TopK codes of N samples.

    Args:
        indices: (N, k) latent of each slot; kept as uint16, or uint32 above 65,536 latents.
        values: (N, k) activation of each slot, finite and >= 0; kept as float32. A slot of value 0 is empty: its
            index means nothing and may repeat.
        n_latents: m, the size of the dictionary.
        samples: fingerprint of the ordered sample ids; "" matches only "".
        groups: (N,) group of each sample (samples of one image share one); None: each sample is its own.

    Raises:
        ValueError: shapes differ, an index is out of range, a live index repeats in a row, or a value is negative,
            NaN or infinite.
    """

    def __init__(
        self,
        indices: ArrayLike,
        values: ArrayLike,
        n_latents: int,
        samples: str = "",
        groups: ArrayLike | None = None,
    ):
        index, value = np.asarray(indices), np.asarray(values)
        if index.ndim != 2 or index.shape != value.shape:
            raise ValueError(f"indices {index.shape} and values {value.shape} must both have shape (N, k).")
        if index.size and not np.issubdtype(index.dtype, np.integer):
            raise ValueError(f"indices must be integers, got {index.dtype}.")
        if n_latents < 1:
            raise ValueError(f"n_latents must be at least 1, got {n_latents}.")
        value = activations(value)
        live = value > 0
        outside = (index < 0) | (index >= n_latents)
        if (outside & live).any():
            row = int(np.argmax((outside & live).any(1)))
            raise ValueError(f"sample {row} has a live index outside 0..{n_latents - 1}.")
        index = np.where(outside, 0, index) if outside.any() else index
        kind = np.uint16 if n_latents <= 2**16 else np.uint32
        self.indices: NDArray[Any] = frozen(index, kind)
        self.values: NDArray[np.float32] = frozen(value, np.float32)
        self.n_latents = int(n_latents)
        self.samples = str(samples)
        self.groups = checked_groups(groups, len(index))
        self._refuse_repeats(live)

    def _refuse_repeats(self, live: NDArray[np.bool_]) -> None:
        # Empty slots get keys of their own beyond the latents, so that only live repeats are equal neighbours.
        n, k = self.indices.shape
        empty = self.n_latents + np.arange(k, dtype=np.uint32)
        for start in range(0, n, 1 << 16):
            rows = slice(start, start + (1 << 16))
            keys = np.sort(np.where(live[rows], self.indices[rows].astype(np.uint32), empty), axis=1)
            repeats = (keys[:, 1:] == keys[:, :-1]).any(1)
            if repeats.any():
                raise ValueError(f"sample {start + int(np.argmax(repeats))} has a repeated live index.")

    @classmethod
    def from_dense(cls, array: ArrayLike, samples: str = "", groups: ArrayLike | None = None) -> "SparseFeatures":
        """Return the non-zeros of an (N, m) array; k is the largest number of non-zeros in a row."""
        dense = np.asarray(array)
        if dense.ndim != 2:
            raise ValueError(f"a dense feature array must have shape (N, m), got {dense.shape}.")
        dense = activations(dense)
        n, m = dense.shape
        counts = np.count_nonzero(dense, axis=1)
        k = int(counts.max(initial=0))
        rows, columns = np.nonzero(dense)
        slots = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        indices, values = np.zeros((n, k), np.int64), np.zeros((n, k), np.float32)
        indices[rows, slots], values[rows, slots] = columns, dense[rows, columns]
        return cls(indices, values, m, samples, groups)

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self.indices)

    @property
    def k(self) -> int:
        """Slots a sample."""
        return self.indices.shape[1]

    @property
    def weights(self) -> NDArray[np.float64]:
        """S (m,): S_i = sum over samples of feature i."""
        return np.bincount(self.indices.ravel(), self.values.ravel(), self.n_latents).astype(np.float64, copy=False)

    def to_dense(self) -> NDArray[np.float32]:
        """Return the (N, m) float32 array."""
        dense = np.zeros((self.n_samples, self.n_latents), np.float32)
        rows, slots = np.nonzero(self.values)
        dense[rows, self.indices[rows, slots]] = self.values[rows, slots]
        return dense

    def take(self, rows: ArrayLike) -> "SparseFeatures":
        """Return the features of some samples: integer positions in any order, or an (N,) boolean mask."""
        positions = positions_of(rows, self.n_samples)
        taken = object.__new__(SparseFeatures)  # rows of checked features need no second check
        taken.indices = frozen_rows(self.indices, positions)
        taken.values = frozen_rows(self.values, positions)
        taken.n_latents = self.n_latents
        taken.samples = fingerprint_of_rows(self.samples, positions)
        taken.groups = None if self.groups is None else frozen(self.groups[positions], np.int64)
        return taken

    def rounded(self) -> "SparseFeatures":
        """Return the features with values rounded to float16, or themselves if a value would overflow or vanish.

        The recorder calls this once, before any metric sees the features: fresh and reloaded ones are identical.
        """
        with np.errstate(over="ignore"):
            half = self.values.astype(np.float16)
        if not np.isfinite(half).all() or ((half == 0) & (self.values > 0)).any():
            return self
        return self._with_values(half.astype(np.float32))

    def scaled(self, factors: ArrayLike) -> "SparseFeatures":
        """Return the features with each latent multiplied by its factor (m,), positive and finite."""
        factor = checked_factors(factors, self.n_latents)
        return self._with_values(self.values * factor[self.indices])

    def without_rare(self, min_count: int) -> "SparseFeatures":
        """Return the features with every latent emptied that is active on fewer than `min_count` samples."""
        counts = np.bincount(self.indices[self.values > 0], minlength=self.n_latents)
        if min_count <= counts[counts > 0].min(initial=min_count):
            return self
        return self._with_values(np.where(counts[self.indices] < min_count, np.float32(0), self.values))

    def _with_values(self, values: NDArray[np.float32]) -> "SparseFeatures":
        return SparseFeatures(self.indices, values, self.n_latents, self.samples, self.groups)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, atomically; values take half the space when float16 holds them exactly."""
        tensors = {"indices": self.indices, "values": halved(self.values)}
        meta = {"samples": self.samples, "n_latents": str(self.n_latents)}
        tensor_file.write(path, SPARSE, with_groups(tensors, self.groups), meta)

    @classmethod
    def load(cls, path: str | Path) -> "SparseFeatures":
        """Read a file that `save` wrote; raises ValueError for a damaged or foreign one."""
        tensors, meta = tensor_file.read(path, SPARSE)
        n_latents, samples = int(meta["n_latents"]), meta["samples"]
        return cls(tensors["indices"], tensors["values"], n_latents, samples, tensors.get("groups"))

    def __len__(self) -> int:
        return self.n_samples

    def __repr__(self) -> str:
        return f"SparseFeatures(n_samples={self.n_samples}, n_latents={self.n_latents}, k={self.k})"


Features = SparseFeatures | DenseFeatures


def load_features(path: str | Path) -> Features:
    """Read recorded features of whichever kind the file holds; raises ValueError for a damaged or foreign one."""
    kinds: dict[str, type[Features]] = {SPARSE: SparseFeatures, DENSE: DenseFeatures}
    return kinds.get(tensor_file.kind(path), SparseFeatures).load(path)
