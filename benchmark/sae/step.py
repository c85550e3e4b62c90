"""The exact step of a sparse autoencoder that never forms the dense (N, m) code matrix in the backward pass.

Decoding and all gradients touch active latents only. The gradients are those of autograd on the dense step, to
rounding. On a CPU compiled loops do it (`kernels`), elsewhere operators of torch (`products`).
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from benchmark.sae import kernels
from benchmark.sae.buffers import borrow
from benchmark.sae.codes import top_codes
from benchmark.sae.kernels import shares, spread
from benchmark.sae.products import dots, row_sums

__all__ = ["Slots", "SparseStep", "reconstruct"]


class Slots(NamedTuple):
    """Active latents: slot p adds values[p] * W_dec[indices[p]] to the row rows[p] of the outputs."""

    values: Tensor
    """(S,), at least 0; a slot of value 0 is empty."""
    indices: Tensor
    """(S,) latents, int64."""
    rows: Tensor
    """(S,) output * N + sample, int64."""


def reconstruct(
    x: Tensor, w_enc: Tensor, w_dec: Tensor, b_dec: Tensor, b_enc: Tensor | None, k: int, screen: bool | None = None
) -> Tensor:
    """Return the reconstruction (N, d) of x from the k largest latents of each sample."""
    values, indices = top_codes(x, w_enc, b_dec, k, b_enc, screen=screen)
    samples = torch.arange(len(x), device=x.device).repeat_interleave(k)
    slots = Slots(values.reshape(-1), indices.reshape(-1), samples)
    return SparseStep.apply(x, w_enc, w_dec, b_dec, b_enc, slots, 1, 1)[0]


class SparseStep(torch.autograd.Function):
    """x (N, d), W_enc (m, d), W_dec (m, d), b_dec (d,), b_enc (m,) or None, slots -> outputs (T, N, d).

    The first `nested` outputs are reconstructions, each of which holds the one before it: output t is b_dec plus the
    slots of outputs 0 to t. The others (T - nested) are sums of their slots alone. Values are taken as
    ReLU(W_enc (x - b_dec) + b_enc) at the slots, and differentiated so.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w_enc: Tensor,
        w_dec: Tensor,
        b_dec: Tensor,
        b_enc: Tensor | None,
        slots: Slots,
        nested: int,
        outputs: int,
    ) -> Tensor:
        """Decode the slots."""
        ctx.save_for_backward(x, w_enc, w_dec, b_dec, *slots)
        ctx.nested = nested
        out = _decode(slots, w_dec.contiguous(), outputs * len(x)).view(outputs, *x.shape)
        out[0] += b_dec
        for t in range(1, nested):
            out[t] += out[t - 1]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x (if wanted), W_enc, W_dec, b_dec and b_enc (if there is one)."""
        x, w_enc, w_dec, b_dec, *parts = ctx.saved_tensors
        slots = Slots(*parts)
        grad = grads[0].contiguous()
        if ctx.nested > 1:  # a slot of output t is in all later reconstructions too
            grad = grad.clone()
            for t in range(ctx.nested - 2, -1, -1):
                grad[t] += grad[t + 1]
        errors, centred = grad.view(-1, x.shape[1]), (x - b_dec).contiguous()
        g_enc, g_dec, g_latent, g_value = _gradients(slots, errors, centred, w_dec.contiguous())
        g_x = None
        if ctx.needs_input_grad[0]:
            g_x = row_sums(slots.rows % len(x), len(x), slots.indices, g_value, w_enc)
        g_b_dec = grad[0].sum(0) - g_latent @ w_enc
        return g_x, g_enc, g_dec, g_b_dec, g_latent if ctx.needs_input_grad[4] else None, None, None, None


def _decode(slots: Slots, table: Tensor, n: int) -> Tensor:
    """Return the sums (n, d) of each output row's slots."""
    if not kernels.usable(table):
        return row_sums(slots.rows, n, slots.indices, slots.values, table)
    values, indices, rows = (part.numpy() for part in slots)
    order, starts = kernels.sort_slots(rows, values, n)
    out = table.new_empty(n, table.shape[1])
    spread(kernels.decode_rows, shares(n), order, starts, values, indices, table.detach().numpy(), out.numpy())
    return out


def _gradients(slots: Slots, errors: Tensor, x: Tensor, w_dec: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of W_enc and W_dec (m, d), of the latents' scores summed (m,), and of each slot's (S,).

    `errors` (T * N, d): gradients of the output rows; x (N, d) centred.
    """
    m = len(w_dec)
    if not kernels.usable(w_dec):
        g_value = dots(slots.rows, errors, slots.indices, w_dec) * (slots.values > 0)
        g_enc = row_sums(slots.indices, m, slots.rows % len(x), g_value, x)
        g_dec = row_sums(slots.indices, m, slots.rows, slots.values, errors)
        one = torch.zeros_like(slots.rows)
        g_latent = row_sums(slots.indices, m, one, g_value, x.new_ones(1, 1)).ravel()
        return g_enc, g_dec, g_latent, g_value
    values, indices, rows = (part.numpy() for part in slots)
    order, starts = kernels.sort_slots(indices, values, m)
    g_enc, g_dec, g_latent = borrow(w_dec), borrow(w_dec), w_dec.new_empty(m)
    g_value = torch.zeros_like(slots.values)
    work = starts + np.arange(m + 1)  # a row costs about as much to write as a slot to add
    bounds = np.searchsorted(work, np.linspace(0, work[-1], len(shares(m)))).astype(np.int64)
    spread(
        kernels.gradient_rows, bounds, order, starts, values, rows, errors.numpy(), x.numpy(), w_dec.numpy(),
        g_enc.numpy(), g_dec.numpy(), g_latent.numpy(), g_value.numpy(),
    )  # fmt: skip
    return g_enc, g_dec, g_latent, g_value
