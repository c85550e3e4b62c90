"""What single features of a dictionary are worth: the reconstruction without them, exactly and all at once."""

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.features import SparseFeatures
from benchmark.sae.topk import TopKSAE

CHUNK = 512
"""Samples at a time: bounds the (chunk, k, d) decoder rows."""


@torch.inference_mode()
def removal_losses(sae: TopKSAE, activations: NDArray[np.float32], features: SparseFeatures) -> NDArray[np.float64]:
    """Return by how much the FVU rises when one feature alone is removed from the reconstruction, (m,).

    With residual r(x) = x - x_hat(x), removing feature i leaves r + f_i(x) w_i, so the squared error rises by
    sum_x 2 f_i(x) r(x).w_i + f_i(x)^2 |w_i|^2. That is divided by the squared distance of the activations (N, d) from
    their mean. No other feature takes the place of the removed one. Negative: the reconstruction is better without it.
    Cost: N k d.

    Raises ValueError when activations and features are not of the same samples or do not fit the SAE, and for
    activations that are all equal, whose FVU is not defined.
    """
    if activations.shape != (len(features), sae.d) or features.n_latents != sae.n_latents:
        raise ValueError(
            f"activations {activations.shape} and features of {features.n_latents} latents on {len(features)} samples "
            f"do not fit an SAE with d = {sae.d} and {sae.n_latents} latents."
        )
    decoder, bias = sae.W_dec.detach().double(), sae.b_dec.detach().double()
    squares = decoder.square().sum(1)
    mean = torch.from_numpy(np.asarray(activations.mean(0, dtype=np.float64))).to(bias)
    loss, variance = torch.zeros_like(squares), 0.0
    for start in range(0, len(features), CHUNK):
        rows = slice(start, start + CHUNK)
        x = torch.from_numpy(np.asarray(activations[rows], np.float64)).to(bias)
        index = torch.from_numpy(features.indices[rows].astype(np.int64)).to(bias.device)
        value = torch.from_numpy(features.values[rows].astype(np.float64)).to(bias)
        written = decoder[index]  # (B, k, d)
        residual = x - bias - torch.einsum("bk,bkd->bd", value, written)
        rise = 2 * value * torch.einsum("bd,bkd->bk", residual, written) + value.square() * squares[index]
        loss.index_add_(0, index.ravel(), rise.ravel())
        variance += float((x - mean).square().sum())
    if not variance:
        raise ValueError("the activations are all equal, so the share of their variance is not defined.")
    return (loss / variance).cpu().numpy()
