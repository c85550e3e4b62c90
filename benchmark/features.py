"""Recorded SAE features of one layer: which latents fire on which samples, and how strongly.

`SparseFeatures` holds TopK codes (k slots a sample), `DenseFeatures` an (N, m) array; both have the same interface
and are immutable, so that what is derived from them can be cached.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark import tensor_file


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
        value = _activations(value)
        live = value > 0
        outside = (index < 0) | (index >= n_latents)
        if (outside & live).any():
            row = int(np.argmax((outside & live).any(1)))
            raise ValueError(f"sample {row} has a live index outside 0..{n_latents - 1}.")
        index = np.where(outside, 0, index) if outside.any() else index
        kind = np.uint16 if n_latents <= 2**16 else np.uint32
        self.indices: NDArray[Any] = _frozen(index, kind)
        self.values: NDArray[np.float32] = _frozen(value, np.float32)
        self.n_latents = int(n_latents)
        self.samples = str(samples)
        self.groups = _groups(groups, len(index))
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
        dense = _activations(dense)
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
        positions = _positions(rows, self.n_samples)
        taken = object.__new__(SparseFeatures)  # rows of checked features need no second check
        taken.indices = _frozen(self.indices[positions], self.indices.dtype)
        taken.values = _frozen(self.values[positions], np.float32)
        taken.n_latents = self.n_latents
        taken.samples = _fingerprint_of_rows(self.samples, positions)
        taken.groups = None if self.groups is None else _frozen(self.groups[positions], np.int64)
        return taken

    def rounded(self) -> "SparseFeatures":
        """Return the features with values rounded to float16, or themselves if a value would overflow or vanish.

        The recorder calls this once, before any metric sees the features: fresh and reloaded ones are identical.
        """
        with np.errstate(over="ignore"):
            half = self.values.astype(np.float16)
        if not np.isfinite(half).all() or ((half == 0) & (self.values > 0)).any():
            return self
        return SparseFeatures(self.indices, half.astype(np.float32), self.n_latents, self.samples, self.groups)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, atomically; values take half the space when float16 holds them exactly."""
        with np.errstate(over="ignore"):
            half = self.values.astype(np.float16)
        exact = bool((half.astype(np.float32) == self.values).all())
        tensors = {"indices": self.indices, "values": half if exact else self.values}
        meta = {"samples": self.samples, "n_latents": str(self.n_latents)}
        tensor_file.write(path, "sparse features", _with_groups(tensors, self.groups), meta)

    @classmethod
    def load(cls, path: str | Path) -> "SparseFeatures":
        """Read a file that `save` wrote; raises ValueError for a damaged or foreign one."""
        tensors, meta = tensor_file.read(path, "sparse features")
        n_latents, samples = int(meta["n_latents"]), meta["samples"]
        return cls(tensors["indices"], tensors["values"], n_latents, samples, tensors.get("groups"))

    def __len__(self) -> int:
        return self.n_samples

    def __repr__(self) -> str:
        return f"SparseFeatures(n_samples={self.n_samples}, n_latents={self.n_latents}, k={self.k})"


class DenseFeatures:
    """Codes of N samples without TopK, as an (N, m) array; the interface of `SparseFeatures`.

    Raises ValueError for a negative, NaN or infinite value or a shape that is not (N, m).
    """

    def __init__(self, array: ArrayLike, samples: str = "", groups: ArrayLike | None = None):
        dense = np.asarray(array)
        if dense.ndim != 2 or dense.shape[1] < 1:
            raise ValueError(f"a dense feature array must have shape (N, m) with m >= 1, got {dense.shape}.")
        self.array: NDArray[np.float32] = _frozen(_activations(dense), np.float32)
        self.samples = str(samples)
        self.groups = _groups(groups, len(dense))

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
        positions = _positions(rows, self.n_samples)
        groups = None if self.groups is None else self.groups[positions]
        return DenseFeatures(self.array[positions], _fingerprint_of_rows(self.samples, positions), groups)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, atomically."""
        tensors = _with_groups({"array": self.array}, self.groups)
        tensor_file.write(path, "dense features", tensors, {"samples": self.samples})

    @classmethod
    def load(cls, path: str | Path) -> "DenseFeatures":
        """Read a file that `save` wrote; raises ValueError for a damaged or foreign one."""
        tensors, meta = tensor_file.read(path, "dense features")
        return cls(tensors["array"], meta["samples"], tensors.get("groups"))

    def __len__(self) -> int:
        return self.n_samples

    def __repr__(self) -> str:
        return f"DenseFeatures(n_samples={self.n_samples}, n_latents={self.n_latents})"


Features = SparseFeatures | DenseFeatures


def _activations(values: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        cast = values.astype(np.float32)
    for wrong, name in ((~np.isfinite(cast), "not finite in float32"), (values < 0, "negative")):
        if wrong.any():
            row = int(np.argmax(wrong.any(1)))
            raise ValueError(f"sample {row} has an activation that is {name}: activations must be finite and >= 0.")
    return cast


def _frozen(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    # A private copy where the caller could still write to it: derived quantities are cached.
    out = np.array(array, dtype=dtype, order="C", copy=True)
    out.flags.writeable = False
    return out


def _groups(groups: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
    if groups is None:
        return None
    array = np.asarray(groups)
    if array.shape != (n,) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"groups must be ({n},) integers, got {array.shape} of {array.dtype}.")
    return _frozen(array, np.int64)


def _positions(rows: ArrayLike, n: int) -> NDArray[np.int64]:
    array = np.asarray(rows)
    if array.ndim != 1 or array.size and array.dtype.kind not in "biu":
        raise ValueError(f"rows must be a list of integers or a mask, got shape {array.shape} of {array.dtype}.")
    if array.dtype == bool:
        if array.shape != (n,):
            raise ValueError(f"a row mask must have shape ({n},), got {array.shape}.")
        return np.flatnonzero(array)
    return np.arange(n, dtype=np.int64)[array.astype(np.int64)]


def _fingerprint_of_rows(samples: str, positions: NDArray[np.int64]) -> str:
    if not samples:
        return ""
    digest = hashlib.blake2b(samples.encode(), digest_size=16)
    digest.update(positions.astype("<i8").tobytes())
    return digest.hexdigest()


def _with_groups(tensors: dict[str, NDArray[Any]], groups: NDArray[np.int64] | None) -> dict[str, NDArray[Any]]:
    return tensors if groups is None else {**tensors, "groups": groups}
