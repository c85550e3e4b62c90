"""Recorded SAE features without TopK: `DenseFeatures`, which `benchmark.features` offers beside `SparseFeatures`."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark import tensor_file
from benchmark.feature_arrays import (
    ROWS,
    activations,
    checked_factors,
    checked_groups,
    fingerprint_of_rows,
    frozen,
    halved,
    positions_of,
    with_groups,
)

DENSE = "dense features"
"""What a file says that it holds."""


class DenseFeatures:
    """Codes of N samples without TopK, as an (N, m) array; the interface of `SparseFeatures`.

    Raises ValueError for a negative, NaN or infinite value or a shape that is not (N, m).
    """

    def __init__(self, array: ArrayLike, samples: str = "", groups: ArrayLike | None = None):
        dense = np.asarray(array)
        if dense.ndim != 2 or dense.shape[1] < 1:
            raise ValueError(f"a dense feature array must have shape (N, m) with m >= 1, got {dense.shape}.")
        checked = activations(dense)
        if checked is not dense:  # a new array: nobody else can write to it
            checked.flags.writeable = False
        self.array: NDArray[np.float32] = _kept(checked)
        self.samples = str(samples)
        self.groups = checked_groups(groups, len(dense))

    @classmethod
    def from_dense(cls, array: ArrayLike, samples: str = "", groups: ArrayLike | None = None) -> "DenseFeatures":
        """Return the features that an (N, m) array holds."""
        return cls(array, samples, groups)

    @property
    def n_samples(self) -> int:
        """N."""
        return self.array.shape[0]

    @property
    def n_latents(self) -> int:
        """m."""
        return self.array.shape[1]

    @property
    def weights(self) -> NDArray[np.float64]:
        """S (m,): S_i = sum over samples of feature i."""
        return self.array.sum(0, dtype=np.float64)

    def to_dense(self) -> NDArray[np.float32]:
        """Return the (N, m) float32 array."""
        return self.array

    def take(self, rows: ArrayLike) -> "DenseFeatures":
        """Return the features of some samples: integer positions in any order, or an (N,) boolean mask."""
        positions = positions_of(rows, self.n_samples)
        groups = None if self.groups is None else self.groups[positions]
        return self._like(self.array[positions], fingerprint_of_rows(self.samples, positions), groups)

    def rounded(self) -> "DenseFeatures":
        """Return the features with values rounded to float16, or themselves if one would overflow or a latent vanish.

        A single value may become 0, unlike one of `SparseFeatures`: there is always a smaller one.
        """
        array = np.empty_like(self.array)
        with np.errstate(over="ignore"):
            for start in range(0, len(array), ROWS):
                array[start : start + ROWS] = self.array[start : start + ROWS].astype(np.float16)
        before, after = (part.max(0, initial=0) for part in (self.array, array))
        if not np.isfinite(after).all() or ((after == 0) & (before > 0)).any():
            return self
        return self._like(array, self.samples, self.groups)

    def scaled(self, factors: ArrayLike) -> "DenseFeatures":
        """Return the features with each latent multiplied by its factor (m,), positive and finite."""
        return DenseFeatures(self.array * checked_factors(factors, self.n_latents), self.samples, self.groups)

    def without_rare(self, min_count: int) -> "DenseFeatures":
        """Return the features with every latent emptied that is active on fewer than `min_count` samples."""
        counts = np.count_nonzero(self.array, axis=0)
        if min_count <= counts[counts > 0].min(initial=min_count):
            return self
        return self._like(np.where(counts < min_count, np.float32(0), self.array), self.samples, self.groups)

    @staticmethod
    def _like(array: NDArray[np.float32], samples: str, groups: NDArray[np.int64] | None) -> "DenseFeatures":
        """Return features of a new array whose values need no check, without another copy of it."""
        features = object.__new__(DenseFeatures)
        array.flags.writeable = False
        features.array = _kept(array)
        features.samples, features.groups = samples, None if groups is None else frozen(groups, np.int64)
        return features

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, atomically; it takes half the space when float16 holds all values exactly."""
        tensors = with_groups({"array": halved(self.array)}, self.groups)
        tensor_file.write(path, DENSE, tensors, {"samples": self.samples})

    @classmethod
    def load(cls, path: str | Path) -> "DenseFeatures":
        """Read a file that `save` wrote; raises ValueError for a damaged or foreign one."""
        tensors, meta = tensor_file.read(path, DENSE)
        return cls(tensors["array"], meta["samples"], tensors.get("groups"))

    def __len__(self) -> int:
        return self.n_samples

    def __repr__(self) -> str:
        return f"DenseFeatures(n_samples={self.n_samples}, n_latents={self.n_latents})"


def _kept(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the array itself if nobody can write to it (it is large), else an immutable copy."""
    flags = array.flags
    return array if flags.c_contiguous and flags.owndata and not flags.writeable else frozen(array, np.float32)
