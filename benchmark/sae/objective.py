"""What training minimises: the reconstruction error, and what its options add to it, through the sparse step."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.sae.codes import batch_codes, top_codes
from benchmark.sae.settings import TrainConfig
from benchmark.sae.step import Slots, SparseStep
from benchmark.sae.topk import TopKSAE


class Objective(NamedTuple):
    """The loss of one batch."""

    loss: Tensor
    """What to call backward on, a scalar in the unit of the MSE."""
    mse: Tensor
    """Mean squared error of the whole dictionary's reconstruction, per dimension; detached."""
    fired: Tensor
    """Bool (m,): latents active on some vector of the batch. Dead ones that only AuxK used do not count."""


def objective(sae: TopKSAE, x: Tensor, k: int, config: TrainConfig, dead: Tensor | None = None) -> Objective:
    """Return the loss of one batch x (N, d) with k active latents a vector.

    `k` may differ from the SAE's own (it falls while it is annealed). `dead`: bool (m,), latents that count as dead
    now, for AuxK; None: none does.

    - `selection`: the k largest scores of each vector, or the N k largest of the batch (BatchTopK, Bussmann et al.
      2024, arXiv 2412.06410).
    - `matryoshka`: the sum of the errors of the prefixes' reconstructions and of the whole one's, all from the same
      codes (Bussmann et al. 2025, arXiv 2503.17547).
    - `aux_k`: plus `aux_coefficient` times AuxK (Gao et al. 2024, arXiv 2406.04093, A.2): the error, detached, is
      reconstructed, without b_dec, by the aux_k most active of the dead latents of each vector. As in the code
      published with that paper, both errors are taken relative to a variance, the one of the batch and the one of the
      residual; here all is multiplied by the former, so that the loss stays in the unit of the MSE.

    Raises ValueError when x is not (N, d) or k does not lie between 1 and m.
    """
    if x.ndim != 2 or x.shape[1] != sae.d or not len(x):
        raise ValueError(f"expected a batch of shape (N, {sae.d}), got {tuple(x.shape)}.")
    if not 1 <= k <= sae.n_latents:
        raise ValueError(f"k must lie between 1 and the dictionary's {sae.n_latents} latents, got {k}.")
    main = _main_slots(sae, x, k, config.selection)
    # Indexing by a mask would wait for the GPU.
    fired = main.values.new_zeros(sae.n_latents).scatter_reduce_(0, main.indices, main.values, "amax") > 0
    sizes = prefixes(sae.n_latents, config.matryoshka)
    if len(sizes) > 1:
        inner = torch.tensor(sizes[:-1], device=x.device)
        output = torch.searchsorted(inner, main.indices, right=True)  # the first prefix that holds the latent
        main = main._replace(rows=output * len(x) + main.rows)
    aux = _aux_slots(sae, x, config.aux_k, dead, len(sizes)) if config.aux_k and dead is not None else None
    slots = main if aux is None else Slots(*(torch.cat(both) for both in zip(main, aux, strict=True)))
    outputs = len(sizes) + (aux is not None)
    out = SparseStep.apply(x, sae.W_enc, sae.W_dec, sae.b_dec, sae.b_enc, slots, len(sizes), outputs)
    errors = [F.mse_loss(out[t], x) for t in range(len(sizes))]
    loss = torch.stack(errors).sum() if len(errors) > 1 else errors[0]
    if aux is not None:
        residual = (x - out[len(sizes) - 1]).detach()
        relative = (_variance(x) / _variance(residual)).nan_to_num(0, posinf=0)  # one vector, or all equal: no AuxK
        loss = loss + config.aux_coefficient * relative * F.mse_loss(out[-1], residual)
    return Objective(loss, errors[-1].detach(), fired)


def prefixes(n_latents: int, shares: tuple[float, ...]) -> list[int]:
    """Return the sizes, rising, of the prefixes of a dictionary that reconstruct alone; the last is all of it."""
    return sorted({min(max(round(share * n_latents), 1), n_latents) for share in (*shares, 1.0)})


def _main_slots(sae: TopKSAE, x: Tensor, k: int, selection: str) -> Slots:
    if selection == "batchtopk":
        values, indices, samples = batch_codes(x, sae.W_enc, sae.b_dec, k, sae.b_enc)
        return Slots(values, indices, samples)
    values, indices = top_codes(x, sae.W_enc, sae.b_dec, k, sae.b_enc, screen=sae.screen)
    return Slots(values.reshape(-1), indices.reshape(-1), _samples(len(x), k, x.device))


def _aux_slots(sae: TopKSAE, x: Tensor, aux_k: int, dead: Tensor, output: int) -> Slots | None:
    """Return the most active dead latents of each vector, as slots of an output; None where no latent is dead."""
    latents = dead.nonzero().ravel()
    if not len(latents):
        return None
    bias = None if sae.b_enc is None else sae.b_enc.detach()[latents]
    k = min(aux_k, len(latents))
    values, at = top_codes(x, sae.W_enc.detach()[latents], sae.b_dec, k, bias, screen=sae.screen)
    return Slots(values.reshape(-1), latents[at.reshape(-1)], _samples(len(x), k, x.device) + output * len(x))


def _samples(n: int, k: int, device: torch.device) -> Tensor:
    return torch.arange(n, device=device).repeat_interleave(k)


def _variance(x: Tensor) -> Tensor:
    """Return the variance around the mean vector, per dimension; exactly 0 where rounding alone could make it."""
    variance, rounding = (x - x.mean(0)).square().mean(), 4 * torch.finfo(x.dtype).eps
    return torch.where(variance > rounding**2 * x.square().mean(), variance, 0.0)
