"""How the rows of a decoder lie to each other."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 2048
"""Rows compared at a time: bounds the (block, block) cosines."""


class Nearest(NamedTuple):
    """The most similar other row of each row of a decoder."""

    row: NDArray[np.int64]
    """(m,) its position; -1 for rows of length 0 and where there is no other."""
    cosine: NDArray[np.float32]
    """(m,) its cosine, signed; NaN where there is none."""


@torch.inference_mode()
def nearest_rows(decoder: Tensor) -> Nearest:
    """Return the largest cosine of each row of a decoder (m, d) to any other row that is not 0.

    A dictionary of random directions has values that grow with log m and fall with d (about sqrt(2 log m / d)); values
    near 1 are latents that write the same thing. Cost: m^2 d / 2 multiply-adds, in blocks of which each pair of rows
    is in one.
    """
    lengths = decoder.detach().norm(dim=1)
    there = (lengths > 0).nonzero().ravel()
    rows = decoder.detach()[there] / lengths[there, None]
    m = len(rows)
    best, at = torch.full((m,), -torch.inf, device=rows.device), torch.full((m,), -1, device=rows.device)
    for i in range(0, m, BLOCK):
        for j in range(i, m, BLOCK):
            cosines = (rows[i : i + BLOCK] @ rows[j : j + BLOCK].T).float()
            if i == j:
                cosines.fill_diagonal_(-torch.inf)
            _keep(best[i : i + BLOCK], at[i : i + BLOCK], cosines.max(1), j)
            if i != j:
                _keep(best[j : j + BLOCK], at[j : j + BLOCK], cosines.max(0), i)
    row, cosine = np.full(len(decoder), -1, np.int64), np.full(len(decoder), np.nan, np.float32)
    if m > 1:
        row[there.cpu().numpy()] = there[at].cpu().numpy()
        cosine[there.cpu().numpy()] = best.cpu().numpy()
    return Nearest(row, cosine)


def _keep(best: Tensor, at: Tensor, found: "torch.return_types.max", first: int) -> None:
    """Put maxima into `best`, and their positions from `first` on into `at`, where they are larger."""
    better = found.values > best
    best[better] = found.values[better]
    at[better] = found.indices[better] + first
