"""The exact TopK step that never forms the dense (N, m) code matrix in the backward pass.

Only the encoder's product over all m latents is irreducible; decoding and all gradients touch the k active latents of
each sample. The gradients are those of autograd on the dense step, to rounding.
"""

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 1024
"""Samples encoded at a time: bounds the (chunk, m) pre-activations."""
MEMBERS = 8


def top_codes(x: Tensor, w_enc: Tensor, b_dec: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return values (N, k) >= 0 and indices (N, k) of the k largest ReLU((x - b_dec) W_enc^T), in no order."""
    centred = x - b_dec
    parts = [_top_k(F.linear(block, w_enc), k) for block in centred.split(CHUNK)]
    return torch.cat([v for v, _ in parts]).relu_(), torch.cat([i for _, i in parts])


def weighted_rows(indices: Tensor, values: Tensor, table: Tensor) -> Tensor:
    """Return sum_t values[:, t] * table[indices[:, t]], (N, d)."""
    return F.embedding_bag(indices, table, mode="sum", per_sample_weights=values)


def _top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return an exact top-k along rows: the k groups with the largest maxima hold the k largest scores."""
    n, m = scores.shape
    groups = m // MEMBERS
    if m % MEMBERS or groups < k:
        return scores.topk(k, dim=1, sorted=False)
    members = scores.view(n, MEMBERS, groups)
    group = members.amax(1).topk(k, dim=1, sorted=False).indices
    candidates = members.gather(2, group[:, None, :].expand(n, MEMBERS, k)).reshape(n, MEMBERS * k)
    values, at = candidates.topk(k, dim=1, sorted=False)
    return values, (at // k) * groups + group.gather(1, at % k)


class SparseTopK(torch.autograd.Function):
    """x (N, d), W_enc (m, d), W_dec (m, d), b_dec (d,), k -> reconstruction (N, d)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_enc: Tensor, w_dec: Tensor, b_dec: Tensor, k: int) -> Tensor:
        """Decode the top codes."""
        values, indices = top_codes(x, w_enc, b_dec, k)
        ctx.save_for_backward(x, w_enc, w_dec, b_dec, values, indices)
        return weighted_rows(indices, values, w_dec).add_(b_dec)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x (if wanted), W_enc, W_dec and b_dec."""
        x, w_enc, w_dec, b_dec, values, indices = ctx.saved_tensors
        (n, k), m = values.shape, len(w_dec)
        grad, flat, value = grad.contiguous(), indices.reshape(-1), values.reshape(-1)
        rows = torch.arange(0, n * k + 1, k, device=x.device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            slots = torch.sparse_csr_tensor(rows, flat, value, (n, m), check_invariants=False)
        # Dot products of the output gradient with the active decoder rows only; ReLU passes none where it is 0.
        g_value = torch.sparse.sampled_addmm(slots, grad, w_dec.T, beta=0.0).values() * (value > 0)
        order = flat.argsort(stable=True)  # slots by latent: each row of a weight gradient is summed once, in order
        starts = torch.searchsorted(flat[order], torch.arange(m, device=x.device))
        sample = order // k
        g_latent = torch.zeros(m, dtype=x.dtype, device=x.device).index_add_(0, flat, g_value)

        def by_latent(rows: Tensor, weights: Tensor) -> Tensor:
            return F.embedding_bag(sample, rows, starts, mode="sum", per_sample_weights=weights[order])

        g_enc, g_dec = by_latent(x - b_dec, g_value), by_latent(grad, value)
        g_x = weighted_rows(indices, g_value.view(n, k), w_enc) if ctx.needs_input_grad[0] else None
        return g_x, g_enc, g_dec, grad.sum(0) - g_latent @ w_enc, None
