"""Products that touch only the active latents, with operators of torch: what GPUs run, and tests force on a CPU."""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

GATHER = 1 << 13
"""Rows gathered at a time where a device lacks the sparse operators: bounds the (GATHER, d) copies."""


def weighted_rows(indices: Tensor, values: Tensor, table: Tensor) -> Tensor:
    """Return sum_t values[:, t] * table[indices[:, t]], (N, d), for codes (N, k)."""
    if _gathers(table):
        samples = torch.arange(len(indices), device=table.device).repeat_interleave(indices.shape[1])
        return row_sums(samples, len(indices), indices.reshape(-1), values.reshape(-1), table)
    return F.embedding_bag(indices, table, mode="sum", per_sample_weights=values)


def row_sums(target: Tensor, n: int, source: Tensor, weights: Tensor, table: Tensor) -> Tensor:
    """Return out (n, d) with out[target[p]] += weights[p] * table[source[p]], each row summed in the order of p."""
    if _gathers(table):
        out = table.new_zeros(n, table.shape[1])
        for t, s, w in zip(target.split(GATHER), source.split(GATHER), weights.split(GATHER), strict=True):
            out.index_add_(0, t, table[s] * w[:, None])
        return out
    ordered, order = target.sort(stable=True)
    starts = torch.searchsorted(ordered, torch.arange(n, device=target.device))
    return F.embedding_bag(source[order], table, starts, mode="sum", per_sample_weights=weights[order])


def dots(left: Tensor, x: Tensor, right: Tensor, table: Tensor) -> Tensor:
    """Return x[left[p]] . table[right[p]], (S,)."""
    if _gathers(table):
        parts = zip(left.split(GATHER), right.split(GATHER), strict=True)
        return torch.cat([torch.einsum("sd,sd->s", x[i], table[j]) for i, j in parts])
    ordered, order = left.sort(stable=True)
    starts = torch.searchsorted(ordered, torch.arange(len(x) + 1, device=x.device))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        pairs = torch.sparse_csr_tensor(
            starts, right[order], x.new_zeros(len(right)), (len(x), len(table)), check_invariants=False
        )
    out = x.new_empty(len(right))
    out[order] = torch.sparse.sampled_addmm(pairs, x, table.T, beta=0.0).values()
    return out


def _gathers(tensor: Tensor) -> bool:
    """Return whether a device has neither sparse CSR products nor embedding bags with weights (MPS)."""
    return tensor.device.type not in ("cpu", "cuda")
