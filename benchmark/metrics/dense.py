"""The same maxima through blocked matrix products: for dense (ReLU) codes, and for GPUs.

Standardised blocks of columns are multiplied in float32 on any torch device; no more than a tile of the (m, n) matrix
exists at a time.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.features import Features

TILE = 1024
ROWS = 256
PRODUCTS = 16


def standardised(features: Features) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the (N, m) array with columns of mean 0 and length 1 (constant ones all 0), and which are constant."""
    array = features.to_dense()
    n, m = array.shape
    constant = (array == array[:1]).all(0) if n else np.ones(m, bool)
    out = np.zeros((n, m), np.float32)
    for start in range(0, m, TILE):
        block = array[:, start : start + TILE].astype(np.float64)
        block /= np.maximum(block.max(0, initial=0), np.finfo(np.float64).tiny)  # squares of huge values overflow
        block -= block.mean(0) if n else 0
        length = np.sqrt((block * block).sum(0))
        live = ~constant[start : start + TILE]
        out[:, start : start + TILE][:, live] = block[:, live] / length[live]
    return out, constant


def pair(a: Features, b: Features, device: str = "cpu") -> tuple[NDArray[Any], ...]:
    """Return what `maxima` gives, and which features of both sides are constant, as `correlation.finish` wants them.

    Raises ValueError when torch cannot use `device`.
    """
    (left, row_constant), (right, column_constant) = standardised(a), standardised(b)
    return *maxima(left, right, row_constant, device), row_constant, column_constant


def maxima(
    left: NDArray[np.float32], right: NDArray[np.float32], row_constant: NDArray[np.bool_], device: str
) -> tuple[NDArray[Any], ...]:
    """Return row maxima, their lowest indices, column maxima, their lowest indices of left' right.

    Rows of constant features are no candidates for the column maxima. Raises ValueError when torch cannot use `device`.
    """
    import torch

    try:
        place = torch.device(device)
        torch.zeros(1, device=place).cpu()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device '{device}' cannot be used: {str(error).splitlines()[0]}") from None
    m, n = left.shape[1], right.shape[1]
    target = torch.from_numpy(right).to(place)
    row, row_arg = torch.full((m,), -2.0), torch.full((m,), -1)
    column = torch.full((n,), -2.0, device=place)
    column_arg = torch.full((n,), m, device=place)
    for start in range(0, m, TILE):
        tile = torch.from_numpy(np.ascontiguousarray(left[:, start : start + TILE])).to(place)
        r = torch.zeros(tile.shape[1], n, device=place)
        # In one float32 sum over all samples, what a rare feature has where it does not fire would be absorbed, so
        # the products of a few thousand samples are added up first.
        for first in range(0, len(tile), PRODUCTS * ROWS):
            part = torch.zeros_like(r)
            for x in range(first, min(first + PRODUCTS * ROWS, len(tile)), ROWS):
                part += tile[x : x + ROWS].T @ target[x : x + ROWS]
            r += part
        top, at = _first_max(r, 1)
        row[start : start + TILE], row_arg[start : start + TILE] = top.cpu(), at.cpu()
        r[torch.from_numpy(row_constant[start : start + TILE]).to(place)] = -2.0
        top, at = _first_max(r, 0)
        better = top > column
        column, column_arg = torch.where(better, top, column), torch.where(better, at + start, column_arg)
    return row.numpy(), row_arg.numpy(), column.cpu().numpy(), column_arg.cpu().numpy()


def _first_max(matrix: Any, dim: int) -> tuple[Any, Any]:
    # torch's max may return any index of a tie; the lowest one is wanted.
    top = matrix.amax(dim)
    size = matrix.shape[dim]
    import torch

    order = torch.arange(size, device=matrix.device).unsqueeze(1 - dim)
    return top, torch.where(matrix == top.unsqueeze(dim), order, size).amin(dim)
