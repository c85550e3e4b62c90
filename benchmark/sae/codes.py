"""Which latents are active: the k largest of each sample, or the N k largest of N samples.

Only the encoder's product over all m latents costs N m d; it is made a block of samples at a time. Where bfloat16
products are much faster than float32 ones (CUDA from Ampere, CPUs with AMX or AVX512-BF16), they only screen: a few
more latents than k are scored again in float32, so that values are float32 sums. On a CPU the screen keeps every latent
that rounding could have kept out, so the choice is that of float32 too. On a GPU it keeps `MARGIN` times k.
"""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.sae import kernels, selection
from benchmark.sae.buffers import borrow
from benchmark.sae.kernels import shares, spread
from benchmark.sae.products import dots
from benchmark.sae.selection import MEMBERS

CHUNK = 1024
"""Samples encoded at a time: bounds the (chunk, m) scores."""
MARGIN = 2
"""On a GPU, how many times k latents are scored again in float32."""
BLOCK = 256
"""Samples that a CPU screens at a time: their (BLOCK, m) products stay in its cache."""
FEWEST, WORTH = 64, 8
"""A CPU screens only batches of `FEWEST` samples or more, and stops when more than `WORTH` times k latents of each
sample of the first block had to be scored again: rounding then hides too much."""


def top_codes(
    x: Tensor, w_enc: Tensor, b_dec: Tensor, k: int, b_enc: Tensor | None = None, *, screen: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Return values (N, k) >= 0 and indices (N, k) of the k largest ReLU((x - b_dec) W_enc^T + b_enc), in no order.

    `screen`: whether bfloat16 products choose the candidates; None: where that is faster. Slots of value 0 may hold
    any index. A sample whose scores are not finite gets values NaN, and with the screen so does the whole batch.
    """
    x, w_enc = (x - b_dec).detach().contiguous(), w_enc.detach().contiguous()
    b_enc = None if b_enc is None else b_enc.detach()
    if screen is None:
        screen = fast_bfloat16(x.device)
    screen = screen and x.dtype == torch.float32 and k < w_enc.shape[0]
    if not kernels.usable(x):
        return _on_accelerator(x, w_enc, k, b_enc, screen)
    values = torch.empty(len(x), k, dtype=x.dtype)
    indices = torch.empty(len(x), k, dtype=torch.int64)
    if not (screen and len(x) >= FEWEST and _screened(x, w_enc, b_enc, values, indices)):
        for start in range(0, len(x), CHUNK):
            block = slice(start, start + CHUNK)
            scores = F.linear(x[block], w_enc, b_enc).numpy()
            spread(selection.select_rows, shares(len(scores)), scores, values[block].numpy(), indices[block].numpy())
    return values, indices


def batch_codes(
    x: Tensor, w_enc: Tensor, b_dec: Tensor, k: int, b_enc: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return values (S,) > 0, indices (S,) and samples (S,), ascending, of the N k largest ReLU scores of the batch.

    BatchTopK (Bussmann et al. 2024, arXiv 2412.06410): a sample may have any number of active latents; S <= N k.
    A score that is not finite ends up among the values.
    """
    x, m, total = (x - b_dec).detach(), len(w_enc), len(x) * k
    bias = None if b_enc is None else b_enc.detach()
    kept, places = x.new_empty(0), torch.empty(0, dtype=torch.int64, device=x.device)
    for start in range(0, len(x), CHUNK):
        flat = F.linear(x[start : start + CHUNK], w_enc.detach(), bias).ravel()
        if len(kept) == total:  # only scores above the smallest one kept can still enter
            at = (~(flat <= kept.min())).nonzero().ravel()
        else:
            at = flat.topk(min(total, len(flat)), sorted=False).indices
        kept, places = torch.cat([kept, flat[at]]), torch.cat([places, at + start * m])
        if len(kept) > total:
            best = kept.topk(total, sorted=False).indices
            kept, places = kept[best], places[best]
    places, order = places.sort()
    kept = kept[order]
    live = ~(kept <= 0)
    return kept[live], places[live] % m, places[live] // m


@cache
def fast_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 matrices much faster than float32 ones."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        return bool(can.get("amx_bf16") or can.get("avx512_bf16"))
    return False


def _screened(x: Tensor, w_enc: Tensor, b_enc: Tensor | None, values: Tensor, indices: Tensor) -> bool:
    """Write the codes of centred x by the screen; returns False, with nothing to keep, where it does not pay.

    The samples' mean is taken out before rounding and its products added in float64, so that a large mean, which all
    samples share, costs no precision.
    """
    (n, d), (m, k) = x.shape, (len(w_enc), values.shape[1])
    bias = np.zeros(m, np.float32) if b_enc is None else b_enc.numpy()
    mean, none = x.mean(0).numpy(), np.zeros(d, np.float32)
    w_half, w_length, w_error, base = _rounded(w_enc, none, mean)
    x_half, x_length, x_error, _ = _rounded(x, mean, none)
    w_length += w_error  # the norm of a row is at most that of its rounded form plus what was lost
    if not np.isfinite(w_length).all():
        return False
    base = (base + bias).astype(np.float32)
    x_error += np.float32(2.0**-22) * np.float32(np.linalg.norm(mean))  # taking the mean out rounds too
    slack = np.float32(d * 2.0**-23)  # sums of d products in float32, in any order
    for start in range(0, n, BLOCK):
        block = slice(start, start + BLOCK)
        halves = F.linear(x_half[block], w_half).view(torch.int16).numpy().view(np.uint16)
        rescored = sum(
            spread(
                selection.screen_rows, shares(len(halves)), halves, base, w_length, w_error, x_length[block],
                x_error[block], slack, x[block].numpy(), w_enc.numpy(), bias, values[block].numpy(),
                indices[block].numpy(),
            )
        )  # fmt: skip
        if not start and rescored > WORTH * k * len(halves):
            return False
    return True


def _rounded(rows: Tensor, shift: np.ndarray, other: np.ndarray) -> tuple[Tensor, np.ndarray, np.ndarray, np.ndarray]:
    """Return rows - shift in bfloat16, the norms of the rounded rows and of what was lost, and rows . other."""
    bits = borrow(rows, torch.int16)
    length, error = np.empty(len(rows), np.float32), np.empty(len(rows), np.float32)
    product = np.empty(len(rows))
    into = bits.numpy().view(np.uint16)
    spread(selection.round_rows, shares(len(rows)), rows.numpy(), shift, other, into, length, error, product)
    return bits.view(torch.bfloat16), length, error * np.float32(1.001), product  # norms are rounded themselves


def _on_accelerator(x: Tensor, w_enc: Tensor, k: int, b_enc: Tensor | None, screen: bool) -> tuple[Tensor, Tensor]:
    """Return the codes of centred x with operators of torch alone."""
    if not screen:
        parts = [_top_k(F.linear(block, w_enc, b_enc), k) for block in x.split(CHUNK)]
        return torch.cat([v for v, _ in parts]).relu_(), torch.cat([i for _, i in parts])
    mean, half, wider = x.mean(0), w_enc.bfloat16(), min(MARGIN * k, len(w_enc))
    base = w_enc @ mean if b_enc is None else torch.addmv(b_enc, w_enc, mean)
    parts = []
    for block in x.split(CHUNK):
        found = _top_k(F.linear((block - mean).bfloat16(), half) + base, wider)[1]
        samples = torch.arange(len(block), device=x.device).repeat_interleave(wider)
        scores = dots(samples, block, found.reshape(-1), w_enc).view(-1, wider)
        value, at = (scores if b_enc is None else scores + b_enc[found]).topk(k, dim=1, sorted=False)
        parts.append((value, found.gather(1, at)))
    return torch.cat([v for v, _ in parts]).relu_(), torch.cat([i for _, i in parts])


def _top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return an exact top-k along rows: the k groups with the largest maxima hold the k largest scores."""
    n, m = scores.shape
    groups = m // MEMBERS
    if m % MEMBERS or groups < k:
        value, index = scores.topk(k, dim=1, sorted=False)
        return value, index
    members = scores.view(n, MEMBERS, groups)
    group = members.amax(1).topk(k, dim=1, sorted=False).indices
    candidates = members.gather(2, group[:, None, :].expand(n, MEMBERS, k)).reshape(n, MEMBERS * k)
    values, at = candidates.topk(k, dim=1, sorted=False)
    return values, (at // k) * groups + group.gather(1, at % k)
