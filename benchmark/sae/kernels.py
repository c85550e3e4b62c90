"""Compiled loops of the sparse step on a CPU: decoding and gradients from slots (`selection` finds them).

They work on a range [start, stop) of samples or latents each, without the GIL and without OpenMP: `spread` runs ranges
in threads. Every number is summed by one thread in one order, so results do not depend on how many threads there are.
Sums are reordered into vector lanes ("reassoc") but never assume that numbers are finite.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

compiled = njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


def usable(tensor: torch.Tensor) -> bool:
    """Return whether these loops can work on a tensor."""
    return tensor.device.type == "cpu"


def spread(kernel: Callable[..., Any], bounds: NDArray[np.int64], *args: Any) -> list[Any]:
    """Run a kernel on [bounds[i], bounds[i + 1]) for each i, in threads if there are several; returns its results."""
    ranges = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
    if len(ranges) == 1:
        return [kernel(*ranges[0], *args)]
    with ThreadPoolExecutor(len(ranges)) as pool:
        return list(pool.map(lambda part: kernel(*part, *args), ranges))


def shares(n: int) -> NDArray[np.int64]:
    """Return the bounds that share out n items over torch's threads."""
    return np.linspace(0, n, 1 + max(1, min(torch.get_num_threads(), n // 16))).astype(np.int64)


@compiled
def sort_slots(keys, values, n):
    """Return the slots whose value is not 0 by key: order (S',), and the n + 1 starts of the keys in it."""
    starts = np.zeros(n + 1, np.int64)
    for p in range(len(values)):
        if values[p] != 0:
            starts[keys[p] + 1] += 1
    for j in range(n):
        starts[j + 1] += starts[j]
    at = starts[:-1].copy()
    order = np.empty(starts[n], np.int64)
    for p in range(len(values)):
        if values[p] != 0:
            order[at[keys[p]]] = p
            at[keys[p]] += 1
    return order, starts


@compiled
def decode_rows(start, stop, order, starts, values, indices, table, out):
    """Write out[row] = sum over the row's slots of value * table[index]."""
    d = table.shape[1]
    for n in range(start, stop):
        line = out[n]
        for c in range(d):
            line[c] = 0
        for at in range(starts[n], starts[n + 1]):
            value, row = values[order[at]], table[indices[order[at]]]
            for c in range(d):
                line[c] += value * row[c]


@compiled
def gradient_rows(start, stop, order, starts, values, rows, grad, x, w_dec, g_enc, g_dec, g_latent, g_value):
    """Write the gradients of some latents' rows from their slots, one pass over both inputs.

    With E = grad (T * N, d) the gradients of the outputs and x (N, d) the centred inputs: g_value[p] = E[rows[p]] .
    w_dec[latent], g_dec = sum_p value * E[rows[p]], g_enc = sum_p g_value * x[rows[p] mod N], g_latent = sum_p g_value.
    """
    n, d = x.shape
    for j in range(start, stop):
        enc, dec, own = g_enc[j], g_dec[j], w_dec[j]
        for c in range(d):
            enc[c] = 0
        for c in range(d):
            dec[c] = 0
        total = grad.dtype.type(0)
        for at in range(starts[j], starts[j + 1]):
            p = order[at]
            row, value = rows[p], values[p]
            error = grad[row]
            dot = grad.dtype.type(0)
            for c in range(d):
                dot += error[c] * own[c]
            for c in range(d):
                dec[c] += value * error[c]
            source = x[row % n]
            for c in range(d):
                enc[c] += dot * source[c]
            g_value[p] = dot
            total += dot
        g_latent[j] = total
