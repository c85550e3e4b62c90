"""What the arrays of recorded features must be, and copies of them that nobody can write to."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROWS = 8192
"""Samples checked at a time: bounds what a check needs beside the array."""
CACHE_LINE = 64


def activations(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return (N, k) values as float32; raises ValueError for a negative, NaN or infinite one."""
    with np.errstate(over="ignore"):
        cast = values.astype(np.float32, copy=False)
    for start in range(0, len(cast), ROWS):
        rows = slice(start, start + ROWS)
        for wrong, name in ((~np.isfinite(cast[rows]), "not finite in float32"), (values[rows] < 0, "negative")):
            if wrong.any():
                row = start + int(np.argmax(wrong.any(1)))
                raise ValueError(f"sample {row} has an activation that is {name}: activations must be finite and >= 0.")
    return cast


def frozen(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return an immutable private copy: callers could still write to the array, and derived quantities are cached."""
    out = _aligned(array.shape, np.dtype(dtype))
    out[...] = array
    out.flags.writeable = False
    return out


def frozen_rows(array: NDArray[Any], positions: NDArray[np.int64]) -> NDArray[Any]:
    """Return an immutable copy of some rows."""
    out = _aligned((len(positions), *array.shape[1:]), array.dtype)
    if len(positions):
        np.take(array, positions, axis=0, out=out, mode="clip")  # checked before; "raise" would copy twice
    out.flags.writeable = False
    return out


def _aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array that starts at a cache line: rows of 32 slots then lie in no more lines than they fill.

    NumPy aligns to 16 bytes; reading rows in random order takes up to twice as long then.
    """
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def checked_groups(groups: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
    """Return groups as (N,) int64; raises ValueError for another shape or type."""
    if groups is None:
        return None
    array = np.asarray(groups)
    if array.shape != (n,) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"groups must be ({n},) integers, got {array.shape} of {array.dtype}.")
    return frozen(array, np.int64)


def positions_of(rows: ArrayLike, n: int) -> NDArray[np.int64]:
    """Return integer positions or a mask (N,) as positions from 0 on; raises ValueError or IndexError for others."""
    array = np.asarray(rows)
    if array.ndim != 1 or array.size and array.dtype.kind not in "biu":
        raise ValueError(f"rows must be a list of integers or a mask, got shape {array.shape} of {array.dtype}.")
    if array.dtype == bool:
        if array.shape != (n,):
            raise ValueError(f"a row mask must have shape ({n},), got {array.shape}.")
        return np.flatnonzero(array)
    return np.arange(n, dtype=np.int64)[array.astype(np.int64)]


def fingerprint_of_rows(samples: str, positions: NDArray[np.int64]) -> str:
    """Return the fingerprint of some rows of samples with a fingerprint; that of unknown samples is unknown."""
    if not samples:
        return ""
    digest = hashlib.blake2b(samples.encode(), digest_size=16)
    digest.update(positions.astype("<i8").tobytes())
    return digest.hexdigest()


def halved(values: NDArray[np.float32]) -> NDArray[Any]:
    """Return values as float16 where it holds all of them exactly."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    exact = all(np.array_equal(half[i : i + ROWS], values[i : i + ROWS]) for i in range(0, len(values), ROWS))
    return half if exact else values


def checked_factors(factors: ArrayLike, m: int) -> NDArray[np.float32]:
    """Return one factor a latent, (m,); raises ValueError for another shape or what is not positive and finite."""
    array = np.asarray(factors, np.float32)
    if array.shape != (m,) or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"factors must be ({m},) positive numbers, got shape {array.shape}.")
    return array


def with_groups(tensors: dict[str, NDArray[Any]], groups: NDArray[np.int64] | None) -> dict[str, NDArray[Any]]:
    """Return a file's tensors with the groups, if there are any."""
    return tensors if groups is None else {**tensors, "groups": groups}
